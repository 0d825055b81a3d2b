"""A conversion that is refused or taken as it should be."""

from pathlib import Path

import pytest

from mediswift_cs.checkpoints import command_line


def refused(capsys: pytest.CaptureFixture[str], source: Path, target: Path, *options: str) -> str:
    """The sentence that the command ends with; nothing is left beside the source."""
    before = sorted(target.parent.iterdir())
    assert _convert(source, target, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert sorted(target.parent.iterdir()) == before
    return line


def taken(source: Path) -> None:
    """The control: beside the source, a file is made of it."""
    assert _convert(source, source.parent / "a.mdl") == 0


def _convert(source: Path, target: Path, *options: str) -> int:
    argv = [str(source), str(target), "--no-tokenizer", "--no-verify", *options]
    return command_line.main(argv)
