"""run.py: killed, stopped or finished, and given again."""

import json
import random
import signal
from pathlib import Path

import pytest

from .conftest import Run, StartRun
from .progress import LAST, LONG, same, steps_written, wait_for_step

# The package's own ones that run on a CPU.
ENGINES = ("torch", "cerebras")


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_and_resumed_ends_with_the_same_bits(
    run: Run, start_run: StartRun, tmp_path: Path, engine: str
) -> None:
    long = (*LONG, "--engine", engine)
    code, output = run("--model_dir", "whole", *long)
    assert code == 0, output
    killed = tmp_path / "killed"
    # The first may come before there is a checkpoint, the second not.
    for least in (3, 8):
        process = start_run("--model_dir", "killed", *long)
        wait_for_step(
            process, killed, max(steps_written(killed), default=0) + random.randint(least, 20)
        )
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 0 < max(steps_written(killed)) < 60
    code, output = run("--model_dir", "killed", *long)
    assert code == 0, output
    assert "continuing from" in output
    assert same(tmp_path / f"whole/{LAST}", killed / LAST)
    assert steps_written(killed) == steps_written(tmp_path / "whole"), "no step told twice"

    run("--model_dir", "other", *long, "--set", "trainer.init.seed=2")
    assert not same(tmp_path / f"whole/{LAST}", tmp_path / f"other/{LAST}"), (
        "control: another seed ends elsewhere"
    )


@pytest.mark.parametrize(
    ("number", "engine"),
    [(signal.SIGINT, "torch"), (signal.SIGTERM, "torch"), (signal.SIGINT, "cerebras")],
)
def test_a_signal_saves_and_says_how_to_go_on(
    run: Run, start_run: StartRun, tmp_path: Path, number: signal.Signals, engine: str
) -> None:
    # Checkpoints are due every 8 steps: a stop in between needs one of its own.
    long = (*LONG, "--engine", engine)
    process = start_run("--model_dir", "out", *long)
    wait_for_step(process, tmp_path / "out", 20)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Give the same command again to go on" in output
    stopped_at = max(steps_written(tmp_path / "out"))
    assert (tmp_path / f"out/checkpoint_{stopped_at}.mdl").exists()
    for name in ("out", "whole"):
        code, output = run("--model_dir", name, *long)
        assert code == 0, output
    assert same(tmp_path / f"out/{LAST}", tmp_path / f"whole/{LAST}")


def test_finished_run_has_nothing_left_to_do(run: Run) -> None:
    run("--model_dir", "out")
    code, output = run("--model_dir", "out")
    assert code == 0
    assert "nothing left to train" in output


def test_an_evaluation_that_is_missing_is_made_up_for(run: Run, tmp_path: Path) -> None:
    def evaluated() -> list[int]:
        lines = map(json.loads, (tmp_path / "out/metrics.jsonl").read_text().splitlines())
        return [line["step"] for line in lines if "val_loss" in line]

    run("--mode", "train", "--model_dir", "out")
    assert evaluated() == []
    code, output = run("--mode", "train_and_eval", "--model_dir", "out")
    assert code == 0, output
    assert evaluated() == [12]
    run("--mode", "train_and_eval", "--model_dir", "out")
    assert evaluated() == [12]


def test_num_steps_count_from_where_the_run_began(
    run: Run, start_run: StartRun, tmp_path: Path
) -> None:
    steps = ("--set", "trainer.init.loop.max_steps=null", "--set", "trainer.init.loop.num_steps=60")
    process = start_run("--model_dir", "out", *LONG, *steps)
    wait_for_step(process, tmp_path / "out", 20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    code, output = run("--model_dir", "out", *LONG, *steps)
    assert code == 0, output
    assert max(steps_written(tmp_path / "out")) == 60
    # A run that has ended begins anew, as in ModelZoo.
    code, output = run("--model_dir", "out", *LONG, *steps)
    assert max(steps_written(tmp_path / "out")) == 120


def test_going_back_needs_the_later_checkpoints_out_of_the_way(run: Run, tmp_path: Path) -> None:
    run("--model_dir", "out")
    code, output = run("--model_dir", "out", "--checkpoint_path", "out/checkpoint_6.mdl")
    assert code == 2
    assert "holds later checkpoints, got --checkpoint_path out/checkpoint_6.mdl" in output
    (tmp_path / "out/checkpoint_12.mdl").rename(tmp_path / "checkpoint_12.mdl")
    code, output = run("--model_dir", "out", "--checkpoint_path", "out/checkpoint_6.mdl")
    assert code == 0, output
    assert same(tmp_path / "out/checkpoint_12.mdl", tmp_path / "checkpoint_12.mdl")


def test_another_start_in_the_same_folder_is_refused(run: Run, tmp_path: Path) -> None:
    run("--model_dir", "first")
    # What did not begin is no other start.
    code, output = run("--model_dir", "second", "--checkpoint_path", "first/chekpoint_6.mdl")
    assert code == 2
    code, output = run("--model_dir", "second", "--checkpoint_path", "first/checkpoint_6.mdl")
    assert code == 0, output
    assert same(tmp_path / "first/checkpoint_12.mdl", tmp_path / "second/checkpoint_12.mdl")
    code, output = run("--model_dir", "second", "--checkpoint_path", "first/checkpoint_6.mdl")
    assert code == 0, output
    code, output = run("--model_dir", "second", "--checkpoint_path", "first/checkpoint_12.mdl")
    assert code == 2
    assert "already holds the run" in output
