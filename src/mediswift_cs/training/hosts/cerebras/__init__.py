"""The host on the public cerebras-pytorch API: CSX, and the CPU to compare with."""
