"""Ctrl-C at a terminal reaches a sweep and its run, and the sweep passes it on as well."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from mediswift_cs import steps
from mediswift_cs.errors import INTERRUPTED_EXIT_CODE
from mediswift_cs.training.stopping import stop_on_signal


def test_a_run_takes_both_for_one() -> None:
    with stop_on_signal() as request:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert request.signal_name == "SIGINT"
        # Control: a second Ctrl-C ends it at once.
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("passes_on", [True, False])
def test_the_command_is_told_where_it_is_to_be(
    monkeypatch: pytest.MonkeyPatch, passes_on: bool
) -> None:
    told: list[str] = []

    class Command(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            super().__init__([sys.executable, "-c", "pass"], **options)
            signal.raise_signal(signal.SIGINT)

        def terminate(self) -> None:
            told.append("terminated")

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(subprocess, "Popen", Command)
    try:
        code = steps.exit_code_of_command("run", passes_ctrl_c_on=passes_on)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert code == INTERRUPTED_EXIT_CODE
    assert told == ["terminated"] * passes_on
