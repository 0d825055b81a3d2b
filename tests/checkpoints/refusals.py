"""A conversion that is refused as it should be."""

from pathlib import Path

import pytest

from mediswift_cs.checkpoints import command_line


def refused(capsys: pytest.CaptureFixture[str], source: Path, target: Path, *options: str) -> str:
    """The sentence that the command ends with; nothing is left beside the source."""
    before = sorted(target.parent.iterdir())
    argv = [str(source), str(target), "--no-tokenizer", "--no-verify", *options]
    assert command_line.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert sorted(target.parent.iterdir()) == before
    return line
