"""Types of options that several commands share."""

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
