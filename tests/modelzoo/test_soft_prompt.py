"""A soft prompt under ModelZoo's Trainer: saved, reloaded by either host, it answers the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.loading import load_model

from .conftest import drive, finetuning_params, run_own

pytestmark = pytest.mark.modelzoo

VOCAB_SIZE = 64
# Ids from VOCAB_SIZE on are the virtual tokens.
PROMPTS = [[5, 6, 7, 64, 65, 66], [9, 65]]


def params(
    make_toy_raw: Callable[[], dict[str, Any]], model_dir: Path, trainable: str
) -> dict[str, Any]:
    """Fine-tuning from scratch on random answers; the rows move far within 12 steps."""
    raw = make_toy_raw()
    init = raw["trainer"]["init"]
    del init["sparsity"]
    init["loop"]["eval_frequency"] = 12
    init["logging"]["log_steps"] = 1
    init["model_dir"] = str(model_dir)
    raw = finetuning_params(raw, model_dir.with_name(f"{model_dir.name}_data"))
    raw["trainer"]["init"]["model"]["trainable"] = trainable
    return raw


def reload_params(raw: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    init = {**raw["trainer"]["init"], "model_dir": str(checkpoint.with_suffix("")), "seed": 99}
    validate = {**raw["trainer"]["validate"], "ckpt_path": str(checkpoint)}
    return {"trainer": {**raw["trainer"], "init": init, "validate": validate}}


def our_answers(checkpoint: Path) -> dict[str, list[Any]]:
    decoder = load_model(checkpoint).model.model
    with torch.no_grad():
        return {
            "ids": generate(decoder, PROMPTS, eos_id=0, max_new_tokens=6),
            "logits": [
                decoder(torch.tensor([p], dtype=torch.int32))[0, -1].tolist() for p in PROMPTS
            ],
        }


@pytest.mark.parametrize("trainable", ["all", "soft_prompt"])
def test_saved_and_reloaded_in_either_host_it_generates_the_same(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path, trainable: str
) -> None:
    raw = params(make_toy_raw, tmp_path / "modelzoo", trainable)
    ours = tmp_path / "own" / "checkpoint_12.mdl"
    run_own(raw, ours.parent)
    theirs = tmp_path / "modelzoo" / "checkpoint_12.mdl"
    first = tmp_path / "modelzoo" / "checkpoint_6.mdl"
    trained, reloaded, reloaded_ours, half_way = drive(
        [
            {"fit_and_answer": [raw, PROMPTS]},
            {"validate_and_answer": [reload_params(raw, theirs), PROMPTS]},
            {"validate_and_answer": [reload_params(raw, ours), PROMPTS]},
            {"validate_and_answer": [reload_params(raw, first), PROMPTS]},
        ],
        tmp_path,
    )
    assert all(trained["ids"])
    assert reloaded == trained
    assert our_answers(theirs) == trained
    assert reloaded_ours == our_answers(ours)
    # Control: six steps earlier the model, which differs in the prompt alone where only that was
    # trained, answered otherwise.
    difference = torch.tensor(half_way["logits"]) - torch.tensor(trained["logits"])
    assert difference.abs().max() > 1e-4
