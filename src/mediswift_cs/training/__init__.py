"""The training and evaluation loop on the public cerebras-pytorch API: CPU, GPU and CSX."""
