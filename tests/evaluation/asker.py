"""``mediswift ask`` with questions on standard input."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs import cli

QUESTIONS = ("Does a cell divide?", "Do rats?", "Those of rats do not.")


class Input(io.TextIOWrapper):
    """Standard input, which a test may make a terminal."""


class Asker:
    """``mediswift ask`` with questions on standard input."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        self.capsys, self.monkeypatch, self.folder = capsys, monkeypatch, folder
        self.error = ""

    def __call__(self, *options: str | Path, text: bytes, code: int = 0) -> list[str]:
        self.monkeypatch.setattr("sys.stdin", Input(io.BytesIO(text)))
        self.capsys.readouterr()
        assert cli.main(["ask", *map(str, options)]) == code
        out, self.error = self.capsys.readouterr()
        return out.splitlines()

    def records(self, *options: str | Path, context: str = "") -> list[dict[str, Any]]:
        """The JSON answers to all questions."""
        given: list[str | Path] = [*options, "--json"]
        if context:
            (self.folder / "context.txt").write_text(context)
            given += ["--context", self.folder / "context.txt"]
        lines = self(*given, text="\n".join(QUESTIONS).encode())
        return [json.loads(line) for line in lines]
