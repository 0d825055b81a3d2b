"""Checkpoints on disk: reading, writing, converting and describing them, without loading them."""
