"""run.py --sweep with real runs: it diverges, is interrupted, is killed, goes on."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str]]
StartRun = Callable[..., "subprocess.Popen[str]"]

RATE = "trainer.init.optimizer.AdamW.learning_rate"
SHORT = (
    *("--threads", "1", "--set", "trainer.init.loop.max_steps=60"),
    *("--set", "trainer.init.checkpoint.steps=4", "--set", "trainer.init.logging.log_steps=1"),
    *("--set", "trainer.init.loop.eval_frequency=60"),
)
SWEEP = (*SHORT, "--model_dir", "out", "--sweep")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def curve(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in lines(folder) if "loss" in line]


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_sweep_is_its_runs(run: Run, tmp_path: Path) -> None:
    code, output = run(*SWEEP, f"{RATE}=1e-2,1e-1,1e37")
    assert code == 0, output
    out = tmp_path / "out"
    found = json.loads((out / "sweep.json").read_text())
    assert [entry["state"] for entry in found["runs"]] == ["finished", "finished", "diverged"]
    assert "1e+37          diverged: the loss is nan" in output
    folders = [out / entry["folder"] for entry in found["runs"]]
    assert not (folders[0] / "failure.json").exists()
    assert "nan" in json.loads((folders[2] / "failure.json").read_text())["error"]
    # The same weights and data, and each its own rate: the first step's rate is 0.
    curves = [curve(folder) for folder in folders[:2]]
    assert curves[0][0] == curves[1][0]
    assert curves[0][1:] != curves[1][1:], "control: the rate does something"
    peaks = [max(line.get("learning_rate", 0) for line in lines(one)) for one in folders[:2]]
    assert peaks == pytest.approx([0.01, 0.1])
    # As the run alone, which ends with what the report says.
    code, alone = run(*SHORT, "--model_dir", "alone", "--set", f"{RATE}=0.1")
    assert code == 0, alone
    assert curve(tmp_path / "alone") == curves[1]
    assert lines(tmp_path / "alone")[-1]["val_loss"] == found["runs"][1]["val_loss"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_sweep_goes_on(
    run: Run, start_run: StartRun, tmp_path: Path, number: signal.Signals
) -> None:
    """As a terminal's Ctrl-C, and as a signal to the sweep alone."""
    out = tmp_path / "out"
    two = (*SWEEP, f"{RATE}=1e-2,1e-1")
    process = start_run(*two)
    wait_for(lambda: len(list((out / "learning_rate_0.1").glob("checkpoint_*.mdl"))) > 2, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    if number == signal.SIGINT:
        assert process.returncode == 130, output
        last = output.strip().splitlines()[-1]
        assert last == (
            f"error: run 2 of 2 of the sweep, {RATE}=0.1, was stopped. Give the same command again "
            "to go on."
        )
        assert "once more to end at once" in output
    assert not (out / "sweep.json").exists()
    first = (out / "learning_rate_0.01/metrics.jsonl").stat()
    code, output = run(*two)
    assert code == 0, output
    assert "learning_rate=0.01 is there already: finished" in output
    assert (out / "learning_rate_0.01/metrics.jsonl").stat().st_mtime_ns == first.st_mtime_ns
    if number != signal.SIGKILL:
        assert "continuing from" in output
    # With the same numbers as if nothing had happened.
    code, _ = run(*SHORT, "--model_dir", "alone", "--set", f"{RATE}=0.1")
    assert code == 0
    assert curve(out / "learning_rate_0.1") == curve(tmp_path / "alone")
