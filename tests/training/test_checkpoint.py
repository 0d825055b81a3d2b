"""Writing, listing and pruning checkpoints."""

import random
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.optimizer import AdamWParams
from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.hosts.torch.optimizer import AdamW
from tests.hostile import PYTHON, VALUES


def state(value: float) -> dict[str, Any]:
    return {"model": {"w": torch.full((64, 64), value)}, "global_step": 3, "note": [1, "two", None]}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_3.mdl"
    checkpoint.save_checkpoint(state(1.0), path, write=mdl_state.write)
    checkpoint.save_checkpoint(state(2.0), path, write=mdl_state.write)
    loaded = checkpoint.load_checkpoint(path, read=mdl_state.read)
    assert torch.equal(loaded["model"]["w"], torch.full((64, 64), 2.0))
    assert loaded["global_step"] == 3
    assert loaded["note"] == [1, "two", None]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint_3.mdl"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_3.mdl"
    checkpoint.save_checkpoint(state(1.0), path, write=mdl_state.write)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
            checkpoint.save_checkpoint(state(2.0), path, write=mdl_state.write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint_3.mdl"]


def test_keeps_the_newest_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (9, 10, 100, 20):
        (tmp_path / f"checkpoint_{step}.mdl").touch()
    (tmp_path / ".checkpoint_200.mdl.partial").touch()
    (tmp_path / "checkpoint_best.mdl").touch()
    names = [path.name for path in checkpoint.list_checkpoints(tmp_path)]
    assert names == [f"checkpoint_{step}.mdl" for step in (9, 10, 20, 100)]
    checkpoint.keep_last(tmp_path, 2)
    names = [path.name for path in checkpoint.list_checkpoints(tmp_path)]
    assert names == ["checkpoint_20.mdl", "checkpoint_100.mdl"]
    assert (tmp_path / "checkpoint_best.mdl").exists(), "what is not a checkpoint stays"


def test_every_mismatch_is_told_at_once(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    wrong = {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_model_state(model, wrong, tmp_path / "c.mdl")
    for said in ("missing bias", "unexpected extra", "weight has shape [2, 4]", "c.mdl"):
        assert said in str(caught.value)


def flipped(content: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def same_state(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return list(first) == list(second) and all(same_state(first[k], second[k]) for k in first)
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return bool(first == second)


def test_no_flipped_bit_is_loaded_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_1.mdl"
    state = {
        "model": {"a": torch.randn(40, 30), "b": torch.ones(7, dtype=torch.bool)},
        "optimizer": {"lr": 0.25, "name": "AdamW"},
        "global_step": 3,
    }
    checkpoint.save_checkpoint(state, path, write=mdl_state.write)
    assert same_state(checkpoint.load_checkpoint(path, read=mdl_state.read), state), (
        "control: as it was written"
    )
    content = path.read_bytes()
    draw = random.Random(0)
    refused = 0
    for _ in range(200):
        path.write_bytes(flipped(content, draw.randrange(len(content)), draw.randrange(8)))
        found, told = None, path.name
        try:
            found = checkpoint.load_checkpoint(path, read=mdl_state.read)
        except CheckpointError as error:
            told = str(error)
            refused += 1
        assert path.name in told
        assert found is None or same_state(found, state), "only what means nothing may be another"
    assert refused > 50


def test_a_flipped_bit_of_a_tensor_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_1.mdl"
    weight = torch.randn(40, 30)
    checkpoint.save_checkpoint({"model": {"a": weight}}, path, write=mdl_state.write)
    content = path.read_bytes()
    start = content.index(weight.numpy().tobytes())
    path.write_bytes(flipped(content, start + 17, 3))
    with pytest.raises(CheckpointError, match=r"model\.a in the checkpoint .* is damaged"):
        checkpoint.load_checkpoint(path, read=mdl_state.read)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"w": 3}}, "w in the checkpoint .*: got 3, no tensor"),
        ({"model": {"w": torch.ones(2), "b": "x"}}, "b in the checkpoint .*: got 'x', no tensor"),
        ({"model": [torch.ones(2)]}, "must hold the key 'model'"),
    ],
)
def test_a_model_of_something_else_than_tensors_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "checkpoint_1.mdl"
    checkpoint.save_checkpoint(content, path, write=mdl_state.write)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load_checkpoint(path, read=mdl_state.read)


def optimizer() -> AdamW:
    return AdamW(torch.nn.Linear(2, 2), AdamWParams())


def test_an_optimizer_state_of_any_kind_is_refused_in_plain_words(tmp_path: Path) -> None:
    whole = optimizer().to_state(0.1)
    with checkpoint.optimizer_fits(tmp_path):
        optimizer().from_state(whole)
    refusals = []
    for key in ("state", "param_groups"):
        for value in (*VALUES, [{"params": [0]}], {0: {}}, {0: {"exp_avg": 3, "exp_avg_sq": 3}}):
            try:
                with checkpoint.optimizer_fits(tmp_path):
                    optimizer().from_state({**whole, key: value})
            except CheckpointError as error:
                refusals.append(str(error))
    with (
        pytest.raises(CheckpointError, match="'state' is missing"),
        checkpoint.optimizer_fits(tmp_path),
    ):
        optimizer().from_state({"param_groups": whole["param_groups"]})
    assert len(refusals) > 2 * len(VALUES)
    assert [one for one in refusals if PYTHON.search(one)] == []
