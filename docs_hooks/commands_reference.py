"""The reference of the command line, from its parsers."""

import argparse
import os
from collections.abc import Iterator
from unittest import mock

from mediswift_cs.cli import build_parser
from mediswift_cs.commands import PURPOSES

COLUMNS = "90"


def parsers_below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the sub-commands, by their names."""
    return {
        name: below
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, below in action.choices.items()
    }


def _entries(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```\n\n"
    for below in parsers_below(parser).values():
        yield from _entries(below, level + 1)


def commands() -> str:
    """What each command says of itself, in Markdown."""
    # argparse breaks lines as wide as the terminal is.
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}):
        parsers = parsers_below(build_parser())
        known = {name for names in PURPOSES.values() for name in names}
        groups = {**PURPOSES, "others": tuple(name for name in parsers if name not in known)}
        parts = []
        for purpose, names in groups.items():
            if names:
                parts.append(f"## {purpose[0].upper()}{purpose[1:]}\n\n")
            for name in names:
                parts += _entries(parsers[name], 3)
    return "".join(parts)
