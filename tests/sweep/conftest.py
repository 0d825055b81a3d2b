"""Sweeps over the toy params, with a stand-in for the runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.run import main
from mediswift_cs.sweep import runs

RATE = "trainer.init.optimizer.AdamW.learning_rate"


class Runs:
    """What the sweep started, and what each run is to end with.

    A run leaves the held-out loss that ``losses`` has for its value; where that is a number of
    another kind it ends with this exit code, and a text is why it diverged.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.losses: dict[str, float | int | str] = {}

    def __call__(self, *arguments: str, passes_ctrl_c_on: bool) -> int:
        assert passes_ctrl_c_on
        self.commands.append(arguments)
        folder = Path(arguments[arguments.index("--model_dir") + 1])
        found = self.losses[arguments[-1].partition("=")[2]]
        (folder / "run.log").write_text("")
        if isinstance(found, str):
            (folder / "failure.json").write_text(json.dumps({"error": found}))
            return 1
        if isinstance(found, int):
            return found
        lines = [{"step": 6, "val_loss": 9.0}, {"step": 9, "loss": 1.0}, {"step": 12}]
        lines[-1] |= {"val_loss": found, "val_bits_per_byte": found / 3}
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Takes the place of the runs."""
    stand_in = Runs()
    monkeypatch.setattr(runs, "exit_code_of_command", stand_in)
    return stand_in


@pytest.fixture
def toy_file(toy_raw: dict[str, Any], tmp_path: Path) -> Path:
    """The toy params as a file."""
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_raw))
    return path


@pytest.fixture
def sweep(
    toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], started: Runs
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """``run.py --sweep ...`` in a model_dir; returns exit code, output and errors."""

    def start(*arguments: str) -> tuple[int, str, str]:
        folder = () if "--model_dir" in arguments else ("--model_dir", str(tmp_path / "out"))
        capsys.readouterr()
        code = main(["--params", str(toy_file), *folder, *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield start
    assert not list(tmp_path.rglob("*.partial-*"))
