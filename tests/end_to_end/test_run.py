"""run.py: training, killing and resuming, evaluating, stopping, and what it says to bad input."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (registers the filter of compressed checkpoints)
import numpy as np
import pytest
import yaml

Run = Callable[..., tuple[int, str]]
StartRun = Callable[..., "subprocess.Popen[str]"]

# Evaluations and checkpoints fall on different steps, and not on the last one only.
# The package's own ones that run on a CPU.
ENGINES = ("torch", "cerebras")
LONG = (
    *("--set", "trainer.init.loop.max_steps=60", "--set", "trainer.init.loop.eval_frequency=25"),
    *("--set", "trainer.init.checkpoint.steps=8", "--set", "trainer.init.logging.log_steps=1"),
)
LAST = "checkpoint_60.mdl"


def tensors(checkpoint: Path) -> dict[str, Any]:
    """Every tensor of the model and the optimizer: weights, masks, moments, learning rate."""
    with h5py.File(checkpoint) as file:
        kept = [name for name in file if name.startswith(("model.", "optimizer."))]
        return {name: file[name][()] for name in kept}


def same(first: Path, second: Path) -> bool:
    a, b = tensors(first), tensors(second)
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


def steps_written(model_dir: Path) -> list[int]:
    path = model_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


def wait_for_step(process: "subprocess.Popen[str]", model_dir: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and max(steps_written(model_dir), default=0) < step:
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.02)


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


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_and_resumed_ends_with_the_same_bits(
    run: Run, start_run: StartRun, tmp_path: Path, engine: str
) -> None:
    long = (*LONG, "--engine", engine)
    code, output = run("--model_dir", "whole", *long)
    assert code == 0, output
    killed = tmp_path / "killed"
    for _ in range(2):
        process = start_run("--model_dir", "killed", *long)
        wait_for_step(
            process, killed, max(steps_written(killed), default=0) + random.randint(3, 20)
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


def test_bad_checkpoints_are_named(run: Run, tmp_path: Path, toy_raw: dict[str, Any]) -> None:
    run("--model_dir", "out")
    good = tmp_path / "out/checkpoint_12.mdl"
    (tmp_path / "cut.mdl").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.mdl").write_text("not a checkpoint")
    for name, said in [
        ("cut.mdl", "not a complete .mdl"),
        ("text.mdl", "not a complete .mdl"),
        ("none.mdl", "not found"),
    ]:
        code, output = run("--model_dir", f"to_{name}", "--checkpoint_path", name)
        assert code == 2, output
        assert said in output
        assert name in output
        assert "Traceback" not in output

    wider = ("--set", "trainer.init.model.hidden_size=64")
    code, output = run("--model_dir", "wider", "--checkpoint_path", str(good), *wider)
    assert code == 2
    assert "has shape [64, 32], the model has [64, 64]" in output
    dense = ("--set", "trainer.init.sparsity=null")
    code, output = run("--model_dir", "dense", *dense)
    assert code == 0, output
    code, output = run("--model_dir", "sparse", "--checkpoint_path", "dense/checkpoint_12.mdl")
    assert code == 2, output
    assert "missing model.transformer_decoder.layers.0" in output
    assert "one is sparse and the other dense" in output


def test_pickled_objects_are_not_loaded(run: Run, tmp_path: Path) -> None:
    run("--model_dir", "out")
    path = tmp_path / "out/checkpoint_12.mdl"
    with h5py.File(path, "r+") as file:
        name = next(key for key in file.attrs if "ScalarSerializer" in str(file.attrs[key]))
        file.attrs[name] = file.attrs[name].replace("ScalarSerializer", "ObjectSerializer")
    code, output = run("--model_dir", "next", "--checkpoint_path", str(path))
    assert code == 2
    assert "not plain data, got ObjectSerializer" in output


def test_shards_of_another_tokenizer_are_refused(run: Run, tmp_path: Path) -> None:
    key = "trainer.fit.train_dataloader.tokenizer_sha256"
    code, output = run("--model_dir", "out", "--set", f"{key}={'b' * 64}")
    assert code == 2
    assert "b" * 64 in output
    assert "Traceback" not in output


def test_model_dir_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, output = run("--model_dir", "file/out")
    assert code == 2
    assert "cannot write to --model_dir" in output


def test_csx_without_a_cluster_names_the_ways_on(
    run: Run, toy_params: Path, toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    toy_raw["trainer"]["init"]["backend"]["backend_type"] = "CSX"
    toy_raw["trainer"]["init"]["precision"] |= {"enabled": True, "fp16_type": "bfloat16"}
    toy_params.write_text(yaml.safe_dump(toy_raw))
    code, output = run("--model_dir", "out")
    assert code == 2
    for way in ("run.py CPU", "--validate_only", "--mgmt_address"):
        assert way in output
    assert not (tmp_path / "out").exists(), "nothing half-written"
    code, output = run("CPU", "--model_dir", "out")
    assert code == 0, output


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


def test_gpu_without_cuda_is_one_sentence(run: Run) -> None:
    code, output = run("GPU", "--model_dir", "out")
    assert code == 2
    assert "torch finds no CUDA device" in output


def test_numbers_that_are_not_finite_end_the_run_with_one_sentence(
    toy_raw: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    toy_raw["trainer"]["init"]["schedulers"] = [
        {"ConstantLR": {"learning_rate": 1e38, "total_iters": 12}}
    ]
    toy_raw["trainer"]["init"]["checkpoint"]["steps"] = 1
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_raw))
    code, output = run("--model_dir", "out")
    assert code == 1, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "finite" in line
    assert "with the learning rate 1e+38" in line
