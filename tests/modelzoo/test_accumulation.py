"""Accumulated batches and long runs: ModelZoo's Trainer beside this package's loop."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediswift_cs.modelzoo.engine import count_batches, resolve
from mediswift_cs.tokens.hdf5 import ShardWriter
from mediswift_cs.training import mdl_state

from .conftest import OPTIONS, drive, finetuning_params, largest_difference, run_own

pytestmark = [pytest.mark.modelzoo, pytest.mark.timeout(1800)]

Raw = dict[str, Any]
NUM_ACCUMULATED = 3
NUM_LONG = 200
LONG = ("dense", "sparse", "finetuning")


def write_uneven(folder: Path) -> Path:
    """48 samples of which 1 to 16 tokens count."""
    numbers = np.random.default_rng(3)
    stream = (numbers.integers(0, 64, (48, 1)) + 3 * np.arange(17)) % 64
    counted = np.arange(16) < numbers.integers(1, 17, (48, 1))
    samples = np.stack([stream[:, :-1], counted, stream[:, 1:]], axis=1).astype(np.int32)
    folder.mkdir()
    attributes = {"tokenizer_sha256": "a" * 64, "vocab_size": 64}
    writer = ShardWriter(
        folder, max_sequence_length=16, samples_per_shard=50, attributes=attributes
    )
    writer.write(samples)
    writer.close()
    return folder


def accumulating(raw: Raw, folder: Path, mean_over: str) -> Raw:
    changed = copy.deepcopy(raw)
    init = changed["trainer"]["init"]
    # Its data begin anew after an evaluation, see test_hosts.py.
    init["loop"] = {"max_steps": 12, "grad_accum_steps": NUM_ACCUMULATED, "eval_frequency": 12}
    init["torch"] = {"mean_over": mean_over}
    init["logging"]["log_steps"] = 1
    changed["trainer"]["fit"]["train_dataloader"] |= {"data_dir": str(folder), "batch_size": 4}
    return changed


def long(raw: Raw, name: str, root: Path) -> Raw:
    changed = copy.deepcopy(raw)
    init = changed["trainer"]["init"]
    if name != "sparse":
        del init["sparsity"]
    init["loop"] = {"max_steps": NUM_LONG, "eval_frequency": NUM_LONG}
    init["checkpoint"]["steps"] = NUM_LONG
    init["logging"]["log_steps"] = 1
    ((_, schedule),) = init["schedulers"][0].items()
    schedule["schedulers"][1]["CosineDecayLR"]["total_iters"] = NUM_LONG - 3
    return finetuning_params(changed, root) if name == "finetuning" else changed


def handed_over(raw: Raw, model_dir: Path, checkpoint: Path | None = None, done: int = 0) -> Raw:
    """What ModelZoo gets of the params, where ``checkpoint`` has ``done`` updates."""
    options = replace(OPTIONS, model_dir=model_dir, checkpoint_path=checkpoint)
    params = resolve(raw, options)
    count_batches(params["trainer"]["init"], options.device, done)
    return params


@dataclass
class Runs:
    """The losses of each run by its name, and the folder of the model_dirs."""

    root: Path
    own: dict[str, list[float]]
    modelzoo: dict[str, list[float]]


@pytest.fixture(scope="module")
def runs(
    modelzoo: None,
    make_toy_raw: Callable[[], Raw],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """Accumulated runs: ours, then ModelZoo's in one process, one of which goes on."""
    root = tmp_path_factory.mktemp("accumulation")
    folder = write_uneven(root / "uneven")
    own = {name: accumulating(make_toy_raw(), folder, name) for name in ("tokens", "batches")}
    theirs = {"batches": handed_over(own["batches"], root / "theirs_batches")}
    ours = {name: run_own(raw, root / f"own_{name}") for name, raw in own.items()}
    theirs["continued"] = handed_over(
        own["batches"], root / "theirs_continued", root / "own_batches/checkpoint_6.mdl", 6
    )
    found = drive([{"fit": raw} for raw in theirs.values()], root)
    return Runs(root, ours, dict(zip(theirs, found, strict=True)))


@pytest.fixture(scope="module")
def long_runs(
    modelzoo: None,
    make_toy_raw: Callable[[], Raw],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """Runs of many steps, in both."""
    root = tmp_path_factory.mktemp("long")
    own = {name: long(make_toy_raw(), name, root) for name in LONG}
    theirs = [{"fit": handed_over(raw, root / f"theirs_{name}")} for name, raw in own.items()]
    ours = {name: run_own(raw, root / f"own_{name}") for name, raw in own.items()}
    return Runs(root, ours, dict(zip(LONG, drive(theirs, root, timeout=1500), strict=True)))


def by_update(losses: list[float]) -> list[float]:
    """ModelZoo's loss of an update is the sum of those of its batches."""
    summed: list[float] = np.array(losses).reshape(-1, NUM_ACCUMULATED).sum(axis=1).tolist()
    return summed


def test_accumulated_batches_make_the_same_updates(runs: Runs) -> None:
    theirs = by_update(runs.modelzoo["batches"])
    assert len(theirs) == 12
    assert largest_difference(runs.own["batches"], theirs) < 1e-6
    # Control: tokens count otherwise where batches have other numbers of them.
    assert largest_difference(runs.own["tokens"], theirs) > 1e-3


def test_modelzoo_goes_on_with_accumulated_batches_to_the_same_end(runs: Runs) -> None:
    continued = by_update(runs.modelzoo["continued"])
    assert largest_difference(runs.own["batches"][6:], continued) < 1e-6


def test_accumulated_runs_leave_the_same_checkpoints(runs: Runs) -> None:
    for name in ("own_batches", "theirs_batches"):
        found = {path.name for path in (runs.root / name).glob("*.mdl")}
        assert found == {"checkpoint_6.mdl", "checkpoint_12.mdl"}, name
    for step in (6, 12):
        ours, theirs = (
            mdl_state.read(runs.root / f"{who}_batches/checkpoint_{step}.mdl")["model"]
            for who in ("own", "theirs")
        )
        assert ours.keys() == theirs.keys()
        # The softmax does not see a key's bias: its gradient is rounding, which Adam makes large.
        compared = [name for name in ours if not name.endswith("proj_k_dense_layer.bias")]
        apart = {
            name: (ours[name].float() - theirs[name].float()).abs().max().item()
            for name in compared
        }
        assert max(apart.values()) < 1e-6, max(apart.items(), key=lambda item: item[1])
    other = mdl_state.read(runs.root / "own_tokens/checkpoint_12.mdl")["model"]
    assert any((other[name] - ours[name]).abs().max() > 1e-4 for name in compared)


@pytest.mark.parametrize("name", LONG)
def test_long_runs_have_equal_losses(long_runs: Runs, name: str) -> None:
    ours, theirs = long_runs.own[name], long_runs.modelzoo[name]
    assert len(ours) == NUM_LONG
    first, last = (largest_difference(ours[:n], theirs[:n]) for n in (30, NUM_LONG))
    print(f"{name}: {first:.1e} over 30 steps, {last:.1e} over {NUM_LONG}; last loss {ours[-1]}")
    assert first < 1e-6
    assert last < 1e-5
    assert (
        largest_difference(long_runs.own["dense" if name != "dense" else "sparse"], theirs) > 1e-3
    )
