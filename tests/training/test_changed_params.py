"""A run that goes on with other params: what changes is told, what cannot change is refused."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.params.schema import Params
from mediswift_cs.training.changed_params import changed_params
from mediswift_cs.training.loop import Trainer
from mediswift_cs.training.masks import masked_weights
from mediswift_cs.training.start import RunOptions, train

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]
Raw = dict[str, Any]


@pytest.fixture
def saved(toy_raw: Raw, tmp_path: Path, make_trainer: MakeTrainer) -> Path:
    """The checkpoint of step 12 of a sparse run."""
    make_trainer(copy.deepcopy(toy_raw), tmp_path / "first").fit([])
    return tmp_path / "first" / "checkpoint_12.mdl"


def test_schedule_rate_and_decay_are_applied_and_told(
    saved: Path,
    toy_raw: Raw,
    tmp_path: Path,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    init = toy_raw["trainer"]["init"]
    init["optimizer"]["AdamW"]["weight_decay"] = 0.5
    init["schedulers"] = [{"ConstantLR": {"learning_rate": 0.125}}]
    init["loop"]["max_steps"] = 20
    trainer = make_trainer(toy_raw, tmp_path / "second")
    with caplog.at_level(logging.INFO, "mediswift_cs"):
        trainer.load(saved)
    assert (
        "trainer.init.optimizer.AdamW.weight_decay was 0.1, from here on it is 0.5" in caplog.text
    )
    assert "ConstantLR.learning_rate was left out, from here on it is 0.125" in caplog.text
    assert "max_steps" not in caplog.text
    assert trainer.host.learning_rate == 0.125  # type: ignore[attr-defined]
    groups = trainer.host.optimizer.param_groups  # type: ignore[attr-defined]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": 0.5}, r"sparsity\.sparsity: got 0\.5, allowed: 0\.75, with which the run in"),
        ({"param_filter": ["*q_dense_layer.weight"]}, r"sparsity\.param_filter.*, allowed: "),
    ],
)
def test_other_masks_are_refused(
    saved: Path,
    toy_raw: Raw,
    tmp_path: Path,
    make_trainer: MakeTrainer,
    changes: Raw,
    message: str,
) -> None:
    toy_raw["trainer"]["init"]["sparsity"] |= changes
    trainer = make_trainer(toy_raw, tmp_path / "second")
    with pytest.raises(CheckpointError, match=message):
        trainer.load(saved)


def test_the_same_params_are_no_news(toy_raw: Raw) -> None:
    params = Params(**toy_raw)
    assert changed_params(toy_raw, params, Path("a.mdl")) == []
    assert changed_params({}, params, Path("a.mdl")) == [], "another program's checkpoint"
    spelled = copy.deepcopy(toy_raw)
    init = spelled["trainer"]["init"]
    init["sparsity"]["schedule"] = init["sparsity"].pop("sparsity")
    init["seed"] = 7
    (told,) = changed_params(spelled, params, Path("a.mdl"))
    assert told.startswith("trainer.init.seed was 7, as far as a run that began can it is ")


def test_masks_of_zeros_are_those_of_the_checkpoint(
    saved: Path, toy_raw: Raw, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    """A dense checkpoint whose weights hold the zeros of a sparse one."""
    sparse = copy.deepcopy(toy_raw)
    dense = copy.deepcopy(toy_raw)
    del dense["trainer"]["init"]["sparsity"]
    start = make_trainer(dense, tmp_path / "dense")
    start.start_from(saved)
    folded = start.save()
    sparse["trainer"]["init"]["sparsity"]["init_method"] = "from_zeros"

    def run(raw: Raw, name: str, path: Path | None) -> None:
        folder = tmp_path / name
        folder.mkdir()
        options = RunOptions(
            device="CPU", engine="torch", mode="train", model_dir=folder, checkpoint_path=path
        )
        assert train(Params(**raw), raw, options) == 0

    run(sparse, "again", folded)
    again = make_trainer(sparse, tmp_path / "again")
    again.load(tmp_path / "again" / "checkpoint_12.mdl")
    expected = make_trainer(toy_raw, tmp_path / "expected")
    expected.load(saved)
    for (name, weight, mask), (_, _, other) in zip(
        masked_weights(again.host.model), masked_weights(expected.host.model), strict=True
    ):
        assert torch.equal(mask, other), name
        assert torch.equal(weight != 0, mask), name
    with pytest.raises(ConfigError, match="got from_zeros for a run from random weights"):
        run(sparse, "scratch", None)
    sparse["trainer"]["init"]["sparsity"]["sparsity"] = 0.5
    with pytest.raises(CheckpointError, match=r"sparsity: got 0\.5, allowed: 0\.75, the fraction"):
        run(sparse, "wrong", folded)
