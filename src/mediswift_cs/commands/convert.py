"""``mediswift convert``: checkpoints to Hugging Face and back."""

import argparse

from mediswift_cs.checkpoints import command_line

HELP = command_line.HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a conversion."""
    command_line.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    return command_line.run(args)
