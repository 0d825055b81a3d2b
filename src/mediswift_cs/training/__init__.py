"""A training run: its plan, loop, journal and checkpoints; hosts/ carries out the steps."""
