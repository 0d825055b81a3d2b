"""Options, and types of options, that several commands share."""

import argparse
from pathlib import Path


def path(text: str) -> Path:
    """A path. Empty text is what a shell leaves of an unset variable, and no current folder.

    Raises:
        ArgumentTypeError: the text is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("got '', allowed: a path (. is the current folder)")
    return Path(text)


def add_overrides(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    """``--set``: values in the place of those of a params file, collected in ``overrides``."""
    parser.add_argument(
        "--set", dest="overrides", metavar=metavar, action="append", default=[], help=text
    )
