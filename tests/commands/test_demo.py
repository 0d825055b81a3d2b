"""How the demo ends when one of its steps does not end well."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As at a terminal: a shell lets what it starts in the background ignore Ctrl-C."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture
def take_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """The demo in an empty folder, every step of it a shell command; gives its exit code."""
    monkeypatch.chdir(tmp_path)

    def take(command: str) -> int:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{command}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        return main(["demo", "--output", "demo"])

    return take


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("exit 1", 1, "the step documents ended with exit code 1"),
        ("exit 2", 2, "the step documents ended with exit code 2"),
        ("exit 130", 130, "stopped during documents; run the demo again to go on"),
        ("kill -KILL $$", 1, "the step documents ended with exit code -9"),
        # Ctrl-C reaches both; the step takes longer than subprocess.run would wait for it.
        (
            "trap '' INT; kill -INT $PPID; sleep 0.6; touch saved",
            130,
            "stopped during documents; run the demo again to go on",
        ),
    ],
)
def test_exit_code_is_that_of_the_step(
    step: str,
    code: int,
    message: str,
    take_steps: Callable[[str], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert take_steps(step) == code
    assert capsys.readouterr().err == f"error: {message}\n"
    assert Path("saved").exists() == ("saved" in step)


class InterruptedStart(subprocess.Popen[bytes]):
    """Ctrl-C comes when the step runs and its starter does not know it yet."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_during_the_start_of_a_step_waits_for_the_step(
    take_steps: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subprocess, "Popen", InterruptedStart)
    assert take_steps("sleep 0.6; touch saved") == 130
    message = "error: stopped during documents; run the demo again to go on\n"
    assert capsys.readouterr().err == message
    assert Path("saved").exists()
