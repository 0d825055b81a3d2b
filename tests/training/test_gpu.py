"""The GPU path, as far as a machine without a GPU allows; docs/gpu.md tells what that is."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch
import yaml

from mediswift_cs.data.processors import make_processor
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams, DataLoaderParams, PrecisionParams
from mediswift_cs.training import device, ranks
from mediswift_cs.training.hosts.cerebras import backend
from mediswift_cs.training.hosts.cerebras.precision import Precision
from mediswift_cs.training.loop import stop_on_signal

FAKE_GPU = Path(__file__).parent / "fake_gpu.py"

DISTRIBUTED = BackendParams(backend_type="GPU", enable_distributed=True, dist_backend="gloo")


def set_ranks(monkeypatch: pytest.MonkeyPatch, rank: int, num_ranks: int) -> None:
    """The environment that torchrun gives a process."""
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", num_ranks)):
        monkeypatch.setenv(name, str(value))


def test_without_cuda_the_sentence_tells_the_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device here: run on the CPU"):
        device.check_device("GPU", BackendParams(backend_type="GPU"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device.check_device("GPU", BackendParams(backend_type="GPU"))


def test_params_and_torchrun_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="torchrun --nproc_per_node"):
        device.check_device("GPU", DISTRIBUTED)
    set_ranks(monkeypatch, 1, 2)
    device.check_device("GPU", DISTRIBUTED)
    for name in ("GPU", "CPU"):
        with pytest.raises(ConfigError, match="torchrun started 2 processes, allowed: one, or"):
            device.check_device(name, BackendParams(backend_type="GPU"))
    with pytest.raises(ConfigError, match="main_process_id: got 1, allowed: 0"):
        device.check_device("GPU", DISTRIBUTED.model_copy(update={"main_process_id": 1}))


def test_the_backend_gets_what_the_params_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(cstorch, "backend", lambda *a, **k: calls.append((a, k)))
    params = BackendParams(
        backend_type="GPU",
        enable_distributed=True,
        dist_backend="gloo",
        init_method="env://",
        sync_batchnorm=True,
    )
    backend.create_backend("GPU", params, tmp_path)
    ((arguments, keywords),) = calls
    assert arguments == ("GPU",)
    assert keywords == {
        "artifact_dir": str(tmp_path),
        "enable_distributed": True,
        "main_process_id": 0,
        "dist_backend": "gloo",
        "init_method": "env://",
        "sync_batchnorm": True,
    }


def test_half_precision_is_bfloat16(cpu_backend: Any) -> None:
    # The GPU backend computes under autocast whatever the params say, in float16 by default.
    cstorch.amp.set_half_dtype(torch.float16)
    Precision(PrecisionParams(enabled=False))
    assert cstorch.amp.get_half_dtype() == torch.bfloat16


def test_shares_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks.share_of_batch(8) == (0, 8)
    shares = []
    for rank in range(4):
        set_ranks(monkeypatch, rank, 4)
        shares.append(ranks.share_of_batch(8))
    assert shares == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert not ranks.is_main()
    assert ranks.any_rank(True, torch.device("cpu"))
    with pytest.raises(ConfigError, match="batch_size: got 6, allowed: a multiple of 4"):
        ranks.share_of_batch(6)


def test_the_shares_make_up_the_batches(cpu_backend: Any, toy_raw: dict[str, Any]) -> None:
    params = DataLoaderParams(**toy_raw["trainer"]["fit"]["train_dataloader"])
    whole, first, second = (make_processor(params).create_dataloader() for _ in range(3))
    first.take_rows(0, 4)
    second.take_rows(4, 8)
    for loader in (whole, first, second):
        loader.load_state_dict(whole.position(24))
    num_batches = 0
    for batch, upper, lower in zip(whole, first, second, strict=True):
        num_batches += 1
        for name, tensor in batch.items():
            assert torch.equal(torch.cat([upper[name], lower[name]]), tensor)
        assert not torch.equal(upper["input_ids"], lower["input_ids"])
    assert num_batches == (100 - 24) // 8


def command(raw: dict[str, Any], model_dir: Path, num_ranks: int, *options: str) -> tuple[str, ...]:
    """fake_gpu.py in one process, or in several under torchrun."""
    raw["trainer"]["init"]["backend"] = {
        "backend_type": "GPU",
        "enable_distributed": num_ranks > 1,
        "dist_backend": "gloo",
    }
    params = model_dir.with_suffix(".yaml")
    params.write_text(yaml.safe_dump(raw))
    # A free port of torchrun's own choice, and no other machine.
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}")
    return (
        sys.executable,
        *(launcher if num_ranks > 1 else ()),
        *(str(FAKE_GPU), "--params", str(params), "--model_dir", str(model_dir)),
        *("--engine", "builtin", *options),
    )


def run(
    raw: dict[str, Any], model_dir: Path, *options: str, num_ranks: int, without: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run :func:`command` to its end."""
    return subprocess.run(
        command(raw, model_dir, num_ranks, *options),
        env={**os.environ, "FAKE_GPU_WITHOUT": without},
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
def test_two_processes_train_as_one(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    toy_raw["trainer"]["init"]["logging"]["log_steps"] = 1
    alone = losses(run(toy_raw, tmp_path / "one", num_ranks=1), tmp_path / "one")
    result = run(toy_raw, tmp_path / "two", num_ranks=2)
    together = losses(result, tmp_path / "two")
    assert len(alone) == 14  # 12 steps, evaluations after 6 and 12
    assert alone[-2]["loss"] < 0.9 * alone[0]["loss"]
    for one, two in zip(alone, together, strict=True):
        assert one == pytest.approx(two, abs=1e-4), (one, two)
    # One rank writes and logs.
    names = sorted(path.name for path in (tmp_path / "two").glob("checkpoint_*"))
    assert names == ["checkpoint_12.mdl", "checkpoint_6.mdl"]
    assert result.stderr.count("step 12/12 loss") == 1
    # Control: without our part the ranks drift apart.
    folder = tmp_path / "apart"
    apart = losses(run(toy_raw, folder, num_ranks=2, without="average_gradients"), folder)
    assert abs(apart[-2]["loss"] - alone[-2]["loss"]) > 1e-3


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
    script = Path(__file__).resolve().parents[2] / "run.py"
    arguments = ("--params", str(params), "--model_dir", str(tmp_path / "out"))
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script))
    result = subprocess.run(
        [sys.executable, *command, *arguments, "--engine", "builtin"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode != 0
    assert "error: the device is GPU but torch finds no CUDA device here" in result.stderr
    assert not (tmp_path / "out").exists()
