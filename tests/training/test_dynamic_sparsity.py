"""Masks that change on the host cerebras: exact counts after each update, and runs that go on."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cerebras.pytorch.sparse import DynamicSparsityAlgorithm

from mediswift_cs.errors import CheckpointError
from mediswift_cs.flops import num_kept
from mediswift_cs.params.schema import Params
from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.changed_params import changed_params
from mediswift_cs.training.hosts.cerebras import dynamic_sparsity
from mediswift_cs.training.hosts.cerebras.session import Session
from mediswift_cs.training.loop import Trainer
from mediswift_cs.training.masks import masked_weights


@pytest.fixture(scope="module", autouse=True)
def _backend(cpu_backend: Any) -> None:
    """One backend for the module, whose fixtures train as well."""


Raw = dict[str, Any]
Runs = dict[str, tuple[Raw, Path]]
DROP = {"type": "cosine", "init": 0.3, "half_period": 9}
MOVING = {"sparsity": 0.75, "drop_fraction": DROP, "update": {"freq": 2, "stop": 9}}
METHODS: dict[str, Raw] = {
    "set": {"algorithm": "set", **MOVING},
    "rigl": {"algorithm": "rigl", **MOVING},
    "gmp": {
        "algorithm": "gmp",
        "sparsity": {"type": "cycling", "values": [0.0, 0.3, 0.5, 0.6, 0.75]},
        "update": {"freq": 2, "stop": 9},
    },
}
# Of the six matrices of one layer.
NUM_KEPT = (4 * 32 * 32 + 2 * 32 * 64) // 4
# After these steps masks change.
UPDATES = (2, 4, 6, 8)
MIDDLE, LAST = 5, 9


def with_method(raw: Raw, method: str) -> Raw:
    raw = copy.deepcopy(raw)
    init = raw["trainer"]["init"]
    init["sparsity"] = {**METHODS[method], "param_filter": init["sparsity"]["param_filter"]}
    init["model"]["num_hidden_layers"] = 1
    init["loop"] = {"max_steps": LAST, "eval_frequency": None}
    init["checkpoint"] = {"steps": MIDDLE}
    return raw


def states(raw: Raw, num_steps: int) -> Iterator[tuple[Session, dict[str, torch.Tensor]]]:
    """The session and copies of its masks before the first update and after each."""
    params = Params(**raw)
    session = Session(params, for_training=True)
    session.draw_masks()
    session.model.train()
    assert params.trainer.fit is not None
    loader = session.make_dataloader(params.trainer.fit.train_dataloader)
    yield session, {name: mask.clone() for name, _, mask in masked_weights(session.model)}
    for batches in session.updates(loader, num_steps, []):
        session.update(batches)
        yield session, {name: mask.clone() for name, _, mask in masked_weights(session.model)}


def num_moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> int:
    return sum(int((mask & ~after[name]).sum()) for name, mask in before.items())


@pytest.mark.parametrize("method", METHODS)
def test_exact_density_after_each_update(toy_raw: Raw, method: str) -> None:
    raw = with_method(toy_raw, method)
    sparsity = Params(**raw).trainer.init.sparsity
    assert sparsity is not None
    before: dict[str, torch.Tensor] = {}
    kept = []
    for step, (session, masks) in enumerate(states(raw, LAST)):
        level = sparsity.level_after(step)
        assert session.optimizer is not None
        for name, weight, mask in masked_weights(session.model):
            assert int(mask.sum()) == num_kept(mask.numel(), level), (name, step)
            assert not weight[~mask].count_nonzero()
            if step:
                moments = session.optimizer.state[weight]
                for moment in ("exp_avg", "exp_avg_sq"):
                    assert not moments[moment][~mask].count_nonzero()
        if step:
            assert (num_moved(before, masks) > 0) == (step in UPDATES), step
        before = masks
        kept.append(sum(int(mask.sum()) for mask in masks.values()))
    # Control: the counts are those of this method.
    assert (kept[0] == kept[-1]) == (method != "gmp")
    assert kept[-1] * 4 == sum(mask.numel() for mask in before.values())


def moved_at_updates(raw: Raw) -> list[int]:
    masks = [masks for _, masks in states(raw, UPDATES[-1])]
    return [num_moved(masks[step - 1], masks[step]) for step in UPDATES]


@pytest.fixture
def as_cerebras_pytorch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class without what we mend."""
    dynamic_sparsity.mend()
    algorithm: Any = DynamicSparsityAlgorithm
    for name in ("update", "load_state_dict"):
        monkeypatch.setattr(algorithm, name, getattr(algorithm, name).__wrapped__)


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_the_drop_fraction_follows_its_schedule(toy_raw: Raw, method: str) -> None:
    moved = moved_at_updates(with_method(toy_raw, method))
    assert moved == sorted(moved, reverse=True)
    # cos(8/9 pi) leaves 0.009 of them, and each of the six matrices moves a whole number.
    assert moved[-1] <= 0.0091 * NUM_KEPT + 6
    assert moved[0] > 10 * moved[-1]


@pytest.mark.usefixtures("as_cerebras_pytorch_has_it")
def test_control_the_drop_fraction_stays_without_our_mend(toy_raw: Raw) -> None:
    moved = moved_at_updates(with_method(toy_raw, "set"))
    assert moved[-1] > 0.1 * NUM_KEPT


def run(raw: Raw, model_dir: Path, begin: Path | None = None) -> Raw:
    """The state at the end of a run from the start, or from a checkpoint."""
    model_dir.mkdir()
    trainer = Trainer(Params(**raw), model_dir, raw, Session(Params(**raw), for_training=True))
    if begin is not None:
        trainer.load(begin)
    trainer.fit([])
    trainer.save()
    return checkpoint.load_checkpoint(model_dir / f"checkpoint_{LAST}.mdl", read=mdl_state.read)


def is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    return bool(one == other)


def ends_alike(one: Raw, other: Raw) -> bool:
    return all(is_equal(one[key], other[key]) for key in ("model", "optimizer", "sparsity"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make_toy_raw: Callable[[], Raw]) -> Runs:
    """A run of each method without a break: its params and its folder."""
    root = tmp_path_factory.mktemp("whole")
    runs = {}
    for method in METHODS:
        runs[method] = with_method(make_toy_raw(), method), root / method
        run(*runs[method])
    return runs


def checkpoints(folder: Path) -> tuple[Path, Path]:
    return folder / f"checkpoint_{MIDDLE}.mdl", folder / f"checkpoint_{LAST}.mdl"


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_goes_on_in_the_middle_of_a_schedule_ends_with_the_same_bits(
    whole: Runs, tmp_path: Path, method: str
) -> None:
    raw, folder = whole[method]
    middle, last = checkpoints(folder)
    continued = run(raw, tmp_path / "continued", middle)
    assert [int(one["step"]) for one in continued["sparsity"]] == [LAST]
    assert ends_alike(checkpoint.load_checkpoint(last, read=mdl_state.read), continued)


# rigl for one mend, gmp for the other.
@pytest.mark.parametrize("method", ["rigl", "gmp"])
@pytest.mark.usefixtures("as_cerebras_pytorch_has_it")
def test_control_other_bits_without_our_mends(toy_raw: Raw, tmp_path: Path, method: str) -> None:
    raw = with_method(toy_raw, method)
    last = run(raw, tmp_path / "whole")
    continued = run(raw, tmp_path / "continued", checkpoints(tmp_path / "whole")[0])
    assert not ends_alike(last, continued)


def test_masks_of_another_level_than_the_step_asks_for_are_refused(
    whole: Runs, tmp_path: Path
) -> None:
    raw, folder = whole["gmp"]
    state = checkpoint.materialise(
        checkpoint.load_checkpoint(checkpoints(folder)[0], read=mdl_state.read)
    )
    other = tmp_path / "other.mdl"
    checkpoint.save_checkpoint({**state, "global_step": LAST}, other, write=mdl_state.write)
    trainer = Trainer(Params(**raw), tmp_path, raw, Session(Params(**raw), for_training=True))
    with pytest.raises(CheckpointError, match=r"sparsity: got 0\.75, allowed: 0\.5"):
        trainer.load(other)


def test_a_state_without_a_schedule_is_refused(whole: Runs, tmp_path: Path) -> None:
    raw, folder = whole["rigl"]
    middle, _ = checkpoints(folder)
    state = checkpoint.load_checkpoint(middle, read=mdl_state.read) | {"sparsity": [{}]}
    session = Session(Params(**raw), for_training=True)
    with pytest.raises(CheckpointError, match="does not fit the params"):
        session.load_state_dict(state, middle)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("algorithm", "set"),
        ("sparsity", 0.5),
        ("drop_fraction", 0.3),
        ("drop_fraction", {**DROP, "init": 0.2}),
        ("update", {"freq": 3, "stop": 9}),
    ],
)
def test_another_method_level_or_schedule_is_refused_in_a_run_that_goes_on(
    toy_raw: Raw, key: str, value: Any
) -> None:
    begun = with_method(toy_raw, "rigl")
    now = copy.deepcopy(begun)
    now["trainer"]["init"]["sparsity"][key] = value
    with pytest.raises(CheckpointError, match=rf"init\.sparsity\.{key}.*, with which the run in"):
        changed_params(begun, Params(**now), Path("a.mdl"))
    assert changed_params(begun, Params(**begun), Path("a.mdl")) == []
