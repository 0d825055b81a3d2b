"""``mediswift run``: run.py from any folder."""

import argparse

from mediswift_cs import run as run_module

HELP = run_module.DESCRIPTION.replace("run.py", "mediswift run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of run.py."""
    run_module.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out the run; returns its exit code."""
    return run_module.run(args)
