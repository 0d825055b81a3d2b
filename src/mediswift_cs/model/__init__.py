"""The decoder, its loss and its prompts, in plain PyTorch."""
