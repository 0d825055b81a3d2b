"""Plain PyTorch as the host of a run: CPU, one GPU, several GPUs."""
