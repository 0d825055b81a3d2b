"""The host on the public cerebras-pytorch API: CPU, GPU and CSX."""
