"""Several processes under torchrun, on CPUs; docs/gpu.md tells what was not run on GPUs."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from mediswift_cs.data.processors import make_processor
from mediswift_cs.data.restartable import position
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams, DataLoaderParams
from mediswift_cs.tokens.hdf5 import ShardWriter
from mediswift_cs.training import device, ranks
from mediswift_cs.training.stopping import stop_on_signal

SCRIPT = Path(__file__).resolve().parents[2] / "run.py"

DISTRIBUTED = BackendParams(backend_type="GPU", enable_distributed=True, dist_backend="gloo")


def write_uneven_shards(folder: Path, num_samples: int) -> None:
    """Samples of which 1 to 16 tokens count, as the prompts of a task have it."""
    folder.mkdir()
    numbers = np.random.default_rng(3)
    stream = numbers.integers(0, 64, (num_samples, 1)) + 3 * np.arange(17)
    counted = np.arange(16) < numbers.integers(1, 17, (num_samples, 1))
    samples = np.stack([stream[:, :-1] % 64, counted, stream[:, 1:] % 64], axis=1)
    writer = ShardWriter(folder, max_sequence_length=16, samples_per_shard=50, attributes={})
    writer.write(samples.astype(np.int32))
    writer.close()


def set_ranks(monkeypatch: pytest.MonkeyPatch, rank: int, num_ranks: int) -> None:
    """The environment that torchrun gives a process."""
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", num_ranks)):
        monkeypatch.setenv(name, str(value))


def test_without_cuda_the_sentence_tells_the_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device here: run on the CPU"):
        device.check_device("GPU", "torch", BackendParams(backend_type="GPU"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device.check_device("GPU", "torch", BackendParams(backend_type="GPU"))


def test_params_and_torchrun_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="torchrun --nproc_per_node"):
        device.check_device("GPU", "torch", DISTRIBUTED)
    set_ranks(monkeypatch, 1, 2)
    for name in ("GPU", "CPU"):
        device.check_device(name, "torch", DISTRIBUTED)
        with pytest.raises(ConfigError, match="torchrun started 2 processes for the engine cere"):
            device.check_device(name, "cerebras", BackendParams(backend_type="GPU"))
    with pytest.raises(ConfigError, match="main_process_id: got 1, allowed: 0"):
        device.check_device("GPU", "torch", DISTRIBUTED.model_copy(update={"main_process_id": 1}))


def test_shares_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks.share_of_batch(8) == (0, 8)
    shares = []
    for rank in range(4):
        set_ranks(monkeypatch, rank, 4)
        shares.append(ranks.share_of_batch(8))
    assert shares == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert not ranks.is_main()
    with pytest.raises(ConfigError, match="batch_size: got 6, allowed: a multiple of 4"):
        ranks.share_of_batch(6)


def test_the_shares_make_up_the_batches(toy_raw: dict[str, Any]) -> None:
    params = DataLoaderParams(**toy_raw["trainer"]["fit"]["train_dataloader"])
    whole, first, second = (make_processor(params).create_local_dataloader() for _ in range(3))
    first.order.rows = slice(0, 4)
    second.order.rows = slice(4, 8)
    for loader in (whole, first, second):
        loader.load_state_dict(position(whole.identity, 24))
    for batch, upper, lower in itertools.islice(zip(whole, first, second, strict=True), 20):
        for name, tensor in batch.items():
            assert torch.equal(torch.cat([upper[name], lower[name]]), tensor)
        assert not torch.equal(upper["input_ids"], lower["input_ids"])


def command(raw: dict[str, Any], model_dir: Path, num_ranks: int, *options: str) -> tuple[str, ...]:
    """run.py in one process, or in several under torchrun."""
    params = model_dir.with_suffix(".yaml")
    params.write_text(yaml.safe_dump(raw))
    # A free port of torchrun's own choice, and no other machine.
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}")
    return (
        sys.executable,
        *(launcher if num_ranks > 1 else ()),
        *(str(SCRIPT), "CPU", "--params", str(params), "--model_dir", str(model_dir), *options),
    )


def run(
    raw: dict[str, Any], model_dir: Path, *options: str, num_ranks: int
) -> "subprocess.CompletedProcess[str]":
    """Run :func:`command` to its end."""
    return subprocess.run(
        command(raw, model_dir, num_ranks, *options),
        cwd=model_dir.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def losses(result: "subprocess.CompletedProcess[str]", model_dir: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, without those that depend on time."""
    assert result.returncode == 0, result.stderr[-3000:]
    lines = [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("num_accumulated", [1, 2])
def test_two_processes_train_as_one(
    toy_raw: dict[str, Any], tmp_path: Path, num_accumulated: int
) -> None:
    """Also where one of them counts more tokens than the other."""
    shards = tmp_path / "uneven"
    write_uneven_shards(shards, num_samples=100)
    toy_raw["trainer"]["fit"]["train_dataloader"]["data_dir"] = str(shards)
    toy_raw["trainer"]["init"]["logging"]["log_steps"] = 1
    toy_raw["trainer"]["init"]["loop"]["grad_accum_steps"] = num_accumulated
    alone = losses(run(toy_raw, tmp_path / "one", num_ranks=1), tmp_path / "one")
    result = run(toy_raw, tmp_path / "two", num_ranks=2)
    together = losses(result, tmp_path / "two")
    assert len(alone) == 14  # 12 steps, evaluations after 6 and 12
    assert alone[-2]["loss"] < 0.9 * alone[0]["loss"]
    for one, two in zip(alone, together, strict=True):
        assert one == pytest.approx(two, abs=1e-6, rel=1e-6), (one, two)
    # One rank writes and logs.
    names = sorted(path.name for path in (tmp_path / "two").glob("checkpoint_*"))
    assert names == ["checkpoint_12.mdl", "checkpoint_6.mdl"]
    assert result.stderr.count("step 12/12 loss") == 1


def test_a_signal_that_torchrun_hands_on_is_no_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_ranks(monkeypatch, 0, 2)
    with stop_on_signal() as stop:
        assert stop.signal_name is None
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stop.signal_name == "SIGINT"
        # Later it is somebody who does not want to wait.
        monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    monkeypatch.undo()
    set_ranks(monkeypatch, 0, 1)
    with stop_on_signal():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_under_torchrun_saves_and_goes_on(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    """Each process gets the terminal's signal and then torchrun's own."""
    model_dir, metrics = tmp_path / "out", tmp_path / "out" / "metrics.jsonl"
    toy_raw["trainer"]["init"]["logging"]["log_steps"] = 1
    # No checkpoint is due before the end.
    toy_raw["trainer"]["init"]["checkpoint"]["steps"] = 2000
    long = ("--mode", "train", "--set", "trainer.init.loop.max_steps=2000")

    def last_step() -> int:
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)

    process = subprocess.Popen(
        command(toy_raw, model_dir, 2, *long),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and last_step() < 10:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Give the same command again to go on" in output, output[-3000:]
    (saved,) = model_dir.glob("checkpoint_*.mdl")
    step = last_step()
    assert saved.name == f"checkpoint_{step}.mdl"
    short = ("--mode", "train", "--set", f"trainer.init.loop.max_steps={step + 5}")
    result = run(toy_raw, model_dir, *short, num_ranks=2)
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"step {step + 1}/{step + 5} loss" in result.stderr
    assert f"step {step}/{step + 5} loss" not in result.stderr


def test_torchrun_without_cuda_is_one_sentence_a_process(
    toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    toy_raw["trainer"]["init"]["backend"] = {"backend_type": "GPU", "enable_distributed": True}
    params = tmp_path / "toy.yaml"
    params.write_text(yaml.safe_dump(toy_raw))
    arguments = ("--params", str(params), "--model_dir", str(tmp_path / "out"))
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(SCRIPT))
    result = subprocess.run(
        [sys.executable, *command, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode != 0
    assert "error: the device is GPU but torch finds no CUDA device here" in result.stderr
    assert not (tmp_path / "out").exists()
