"""Dense fine-tuning from sparse checkpoints, in the loop and as another host would load it."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.starting_weights import SOFT_PROMPT_KEY, starting_weights
from mediswift_cs.params.schema import Params
from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.loop import Trainer
from mediswift_cs.training.start import RunOptions, train
from mediswift_cs.training.warm_start import asks_for_weights_only, is_new_start

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]

WEIGHTS_ONLY = {"LoadCheckpointStates": {"load_checkpoint_states": "model"}}


@pytest.fixture
def dense_raw(toy_raw: dict[str, Any]) -> dict[str, Any]:
    """Fine-tuning on the same shards: dense, from the weights of a checkpoint."""
    raw = copy.deepcopy(toy_raw)
    init = raw["trainer"]["init"]
    del init["sparsity"]
    init["model"]["name"] = "mediswift_finetuning"
    init["callbacks"] = [WEIGHTS_ONLY]
    return raw


@pytest.fixture
def sparse_run(toy_raw: dict[str, Any], tmp_path: Path) -> Path:
    """The model_dir of a finished 75 % sparse run."""
    return run(toy_raw, tmp_path / "sparse")


def run(raw: dict[str, Any], model_dir: Path, start: Path | None = None) -> Path:
    model_dir.mkdir(parents=True, exist_ok=True)
    options = RunOptions(
        device="CPU", engine="torch", mode="train", model_dir=model_dir, checkpoint_path=start
    )
    assert train(Params(**raw), raw, options) == 0
    return model_dir


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.materialise(checkpoint.load_checkpoint(path, read=mdl_state.read)["model"])


def test_dense_run_wakes_every_pruned_weight(
    sparse_run: Path,
    dense_raw: dict[str, Any],
    tmp_path: Path,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = weights_of(sparse_run / "checkpoint_12.mdl")
    masks = {k.removesuffix("_mask"): v for k, v in before.items() if k.endswith("_mask")}
    num_pruned = sum(int((mask == 0).sum()) for mask in masks.values())
    assert num_pruned > 0
    trainer = make_trainer(dense_raw, tmp_path)
    with caplog.at_level(logging.INFO, "mediswift_cs"):
        trainer.start_from(sparse_run / "checkpoint_12.mdl")
    assert f"{num_pruned:,} of" in caplog.text
    started = trainer.host.model.state_dict()
    assert not [key for key in started if key.endswith("_mask")]
    for name, mask in masks.items():
        assert torch.equal(started[name] == 0, ~mask.bool()), name
    dense = run(dense_raw, tmp_path / "dense", sparse_run / "checkpoint_12.mdl")
    after = weights_of(dense / "checkpoint_12.mdl")
    for name, mask in masks.items():
        assert (after[name][~mask.bool()] != 0).float().mean() > 0.99, name


def test_masks_of_a_checkpoint_that_was_not_folded_are_applied(
    sparse_run: Path, dense_raw: dict[str, Any]
) -> None:
    state = weights_of(sparse_run / "checkpoint_12.mdl")
    unfolded = {k: v if k.endswith("_mask") else v + 0.5 for k, v in state.items()}
    model = MediSwiftFineTuningModel(Params(**dense_raw).trainer.init.model)
    start = starting_weights(model, unfolded)
    name = next(key for key in state if key.endswith("_mask")).removesuffix("_mask")
    kept = state[name + "_mask"].bool()
    assert torch.equal(start.state[name][~kept], torch.zeros(int((~kept).sum())))
    assert torch.equal(start.state[name][kept], unfolded[name][kept])
    assert (unfolded[name][~kept] != 0).all()  # the input is left as it was
    # As ModelZoo's Trainer loads a checkpoint.
    model.load_state_dict(unfolded, strict=True)
    assert torch.equal(model.state_dict()[name] == 0, ~kept)


def test_masks_that_prune_nothing_are_reported(sparse_run: Path, dense_raw: dict[str, Any]) -> None:
    state = weights_of(sparse_run / "checkpoint_12.mdl")
    ones = {k: torch.ones_like(v) if k.endswith("_mask") else v for k, v in state.items()}
    model = MediSwiftFineTuningModel(Params(**dense_raw).trainer.init.model)
    (line,) = starting_weights(model, ones).describe()
    assert "prune nothing" in line


def test_sparse_fine_tuning_keeps_the_masks(
    sparse_run: Path, toy_raw: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy_raw["trainer"]["init"]["model"]["name"] = "mediswift_finetuning"
    toy_raw["trainer"]["init"]["callbacks"] = [WEIGHTS_ONLY]
    toy_raw["trainer"]["init"]["seed"] = 99
    before = weights_of(sparse_run / "checkpoint_12.mdl")
    with caplog.at_level(logging.INFO, "mediswift_cs"):
        run(toy_raw, tmp_path / "more", sparse_run / "checkpoint_12.mdl")
    assert "sparse fine-tuning" in caplog.text
    assert "dense fine-tuning" not in caplog.text
    after = weights_of(tmp_path / "more" / "checkpoint_12.mdl")
    masks = [key for key in before if key.endswith("_mask")]
    assert masks
    for key in masks:
        assert torch.equal(before[key], after[key])
        name = key.removesuffix("_mask")
        assert (after[name][~after[key].bool()] == 0).all()
    assert any(not torch.equal(before[k], after[k]) for k in before if k not in masks)


def test_fine_tuning_starts_at_step_0_and_resumes_its_own_steps(
    sparse_run: Path, dense_raw: dict[str, Any], tmp_path: Path
) -> None:
    start = sparse_run / "checkpoint_12.mdl"
    whole = run(dense_raw, tmp_path / "whole", start)
    assert [p.name for p in checkpoint.list_checkpoints(whole)] == [
        "checkpoint_6.mdl",
        "checkpoint_12.mdl",
    ]
    # The same command in a folder that holds half of the run goes on from there.
    half = tmp_path / "half"
    half.mkdir()
    (half / "checkpoint_6.mdl").write_bytes((whole / "checkpoint_6.mdl").read_bytes())
    (half / "origin.json").write_text((whole / "origin.json").read_text())
    run(dense_raw, half, start)
    resumed, uninterrupted = (weights_of(f / "checkpoint_12.mdl") for f in (half, whole))
    assert all(torch.equal(value, uninterrupted[key]) for key, value in resumed.items())
    # Control: started anew, the second half alone gives other weights.
    other = run(dense_raw, tmp_path / "other", whole / "checkpoint_6.mdl")
    restarted = weights_of(other / "checkpoint_12.mdl")
    assert any(not torch.equal(value, uninterrupted[key]) for key, value in restarted.items())


def test_a_dense_run_without_the_callback_starts_anew_from_a_sparse_one_only(
    sparse_run: Path, toy_raw: dict[str, Any], dense_raw: dict[str, Any], tmp_path: Path
) -> None:
    start = sparse_run / "checkpoint_12.mdl"
    sparse, weights_only = Params(**toy_raw).trainer.init, Params(**dense_raw).trainer.init
    del dense_raw["trainer"]["init"]["callbacks"]
    dense = Params(**dense_raw).trainer.init
    assert is_new_start(weights_only, start, tmp_path)
    assert is_new_start(dense, start, tmp_path)
    assert not is_new_start(sparse, start, tmp_path)
    assert not is_new_start(weights_only, start, sparse_run)  # its own checkpoint


def test_other_choices_of_states_are_refused(dense_raw: dict[str, Any]) -> None:
    dense_raw["trainer"]["init"]["callbacks"] = [
        {"LoadCheckpointStates": {"load_checkpoint_states": ["model", "optimizer"]}}
    ]
    with pytest.raises(ConfigError, match="got model, optimizer, allowed: all"):
        asks_for_weights_only(Params(**dense_raw).trainer.init)


def test_anything_else_that_does_not_match_is_an_error(
    sparse_run: Path, dense_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    dense_raw["trainer"]["init"]["model"]["num_hidden_layers"] = 1
    trainer = make_trainer(dense_raw, tmp_path)
    with pytest.raises(CheckpointError, match=r"unexpected model\.transformer_decoder\.layers\.1"):
        trainer.start_from(sparse_run / "checkpoint_12.mdl")


def test_a_mask_without_its_weight_is_an_error(dense_raw: dict[str, Any]) -> None:
    model = MediSwiftFineTuningModel(Params(**dense_raw).trainer.init.model)
    state = {**model.state_dict(), "model.nothing.weight_mask": torch.ones(2, 2)}
    with pytest.raises(CheckpointError, match=r"no model\.nothing\.weight"):
        starting_weights(model, state)


def test_prompt_is_added_to_a_plain_checkpoint(toy_raw: dict[str, Any]) -> None:
    config = toy_raw["trainer"]["init"]["model"]
    plain = MediSwiftModel(Params(**toy_raw).trainer.init.model).state_dict()
    raw = copy.deepcopy(toy_raw)
    raw["trainer"]["init"]["model"] = {
        **config,
        "name": "mediswift_finetuning",
        "soft_prompt": {"num_virtual_tokens": 3, "init": "vocab"},
    }
    model = MediSwiftFineTuningModel(Params(**raw).trainer.init.model)
    model.load_state_dict(plain)
    words = plain["model.embedding_layer.word_embeddings.weight"]
    rows = model.state_dict()[SOFT_PROMPT_KEY]
    assert all((words == row).all(1).any() for row in rows)
    # A prompt that the checkpoint has is taken as it is.
    again = MediSwiftFineTuningModel(Params(**raw).trainer.init.model)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.state_dict()[SOFT_PROMPT_KEY], rows)
