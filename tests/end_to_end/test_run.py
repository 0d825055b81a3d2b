"""run.py: training, evaluating, and the threads that it takes."""

import json
import os
from pathlib import Path

import pytest

from .conftest import Run
from .progress import steps_written


def test_trains_evaluates_and_saves(run: Run, tmp_path: Path) -> None:
    code, output = run("--model_dir", "out")
    assert code == 0, output
    out = tmp_path / "out"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in evaluations] == [6, 12]
    assert all(line["val_tokens"] == 21 * 16 for line in evaluations), "the tail is not dropped"
    assert evaluations[1]["val_loss"] < evaluations[0]["val_loss"]
    assert sorted(p.name for p in out.glob("*.mdl")) == ["checkpoint_12.mdl", "checkpoint_6.mdl"]
    assert list((out / "events").glob("events.*"))
    assert "= 0.750000" in output
    assert output == output.replace("Traceback", "")


def test_gradient_accumulation_sees_the_same_samples(run: Run, tmp_path: Path) -> None:
    one = ("--set", "trainer.init.loop.eval_frequency=0")
    half = (*one, "--set", "trainer.fit.train_dataloader.batch_size=4")
    accumulated = (*half, "--set", "trainer.init.loop.grad_accum_steps=2")
    for name, options in [("one", one), ("two", accumulated), ("half", half)]:
        code, output = run("--model_dir", name, *options)
        assert code == 0, output

    def loss(name: str) -> float:
        return json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1])["loss"]

    assert loss("two") == pytest.approx(loss("one"), abs=2e-5)
    assert abs(loss("half") - loss("one")) > 1e-3, "control: half the samples train otherwise"


def test_evaluation_of_a_checkpoint_repeats_the_score(run: Run, tmp_path: Path) -> None:
    run("--model_dir", "out")
    told = (tmp_path / "out/metrics.jsonl").read_text().splitlines()[-1]
    checkpoint = str(tmp_path / "out/checkpoint_12.mdl")
    code, output = run(
        "CPU", "--mode", "eval", "--model_dir", "eval", "--checkpoint_path", checkpoint
    )
    assert code == 0, output
    again = (tmp_path / "eval/metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(again) == json.loads(told)
    before = steps_written(tmp_path / "out")
    code, output = run("--mode", "eval_all", "--model_dir", "out")
    assert code == 0
    assert output.count("held-out loss") == 2
    assert steps_written(tmp_path / "out") == [*before, 6, 12], "no line of training is lost"
    code, output = run(
        *("--mode", "eval", "--model_dir", "out"),
        *("--set", "trainer.validate.ckpt_path=out/checkpoint_6.mdl"),
    )
    assert code == 0, output
    assert "evaluating out/checkpoint_6.mdl" in output


def test_threads_are_those_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = run("--model_dir", "out", "--threads", "0")
    assert code == 2
    assert "--threads: got 0, allowed: 1 to" in output
    assert not (tmp_path / "out").exists(), "nothing half-written"
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one core: the number of threads cannot differ")
    # Also where the process starts itself again; the tests set OMP_NUM_THREADS to 1.
    for default_allocator in ("0", "1"):
        monkeypatch.setenv("MEDISWIFT_DEFAULT_ALLOCATOR", default_allocator)
        for options, number in [((), 1), (("--threads", "2"), 2)]:
            code, output = run("--model_dir", f"{default_allocator}{number}", *options)
            assert code == 0, output
            assert f"CPU threads: {number} " in output
