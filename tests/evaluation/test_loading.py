"""A model to evaluate: what its checkpoint says of it, and checkpoints that say too little."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError
from mediswift_cs.evaluation import loading
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.tokens.tokenizer import fingerprint
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

from .models_to_ask import save_model


def changed(path: Path, **changes: Any) -> Path:
    """The checkpoint with other entries; those that are None are left out."""
    state = {**mdl_state.read(path), **changes}
    kept = {key: value for key, value in state.items() if value is not None}
    save_checkpoint(kept, path.parent / "changed.mdl", write=mdl_state.write)
    return path.parent / "changed.mdl"


def test_a_model_comes_with_what_its_checkpoint_says(tmp_path: Path, toy_tokenizer: Path) -> None:
    path = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    found = load_model(path)
    assert (found.path, found.step) == (path, 7)
    assert found.tokenizer_sha256 == fingerprint(toy_tokenizer)
    assert not found.model.training
    state = mdl_state.read(path)
    assert found.model.state_dict().keys() == state["model"].keys()
    for name, weight in found.model.state_dict().items():
        assert torch.equal(weight, state["model"][name]), name
    less = load_model(changed(path, global_step=None, mediswift=None))
    assert (less.step, less.tokenizer_sha256) == (0, None)


def test_given_params_stand_for_those_of_the_checkpoint(
    tmp_path: Path, toy_tokenizer: Path
) -> None:
    path = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    config = load_model(path).model.config
    without = changed(path, __metadata__=None)
    given = config.model_copy(update={"layer_norm_epsilon": 0.5})
    assert load_model(without, given).model.config is given
    # They are those of another model.
    with pytest.raises(CheckpointError, match=r"changed\.mdl"):
        load_model(without, config.model_copy(update={"hidden_size": 64}))
    plain = save_model(tmp_path / "plain.mdl", toy_tokenizer, None, soft_prompt=None)
    with pytest.raises(CheckpointError, match=r"plain\.mdl has no soft prompt, its params ask"):
        load_model(plain, config)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        [{}],
        ["params"],
        [{"params": {"trainer": {}}}],
        [{"params": {"trainer": {"init": {"model": {"name": "bert"}}}}}],
    ],
)
def test_a_checkpoint_without_params_asks_for_them(
    tmp_path: Path, toy_tokenizer: Path, metadata: Any
) -> None:
    path = changed(save_model(tmp_path / "a.mdl", toy_tokenizer, None), __metadata__=metadata)
    with pytest.raises(CheckpointError, match="does not hold its params: give the file"):
        load_model(path)


def test_the_last_params_count_and_the_optimizer_is_not_read(
    tmp_path: Path, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    metadata = mdl_state.read(path)["__metadata__"]
    path = changed(path, __metadata__=[{"params": {}}, *metadata], optimizer={"state": {}})
    states: list[dict[str, Any]] = []
    load = loading.checkpoint.load_checkpoint

    def noted(path: Path, read: partial[dict[str, Any]]) -> dict[str, Any]:
        states.append(load(path, read))
        return states[-1]

    monkeypatch.setattr(loading.checkpoint, "load_checkpoint", noted)
    assert load_model(path).step == 7
    assert "optimizer" in mdl_state.read(path), "control"
    assert "optimizer" not in states[0]
