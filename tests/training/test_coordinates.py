"""The coordinate check of SuPar: whether activations keep their size whatever the density."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml

from mediswift_cs.params.recipes import render
from mediswift_cs.params.schema import Params
from mediswift_cs.sizes import SIZES
from mediswift_cs.training.coordinates import block_outputs

NUM_STEPS = 5
# The constant rate that a warm-up of the shipped files would reach; tokens follow Zipf's law.
RATE = 2e-3
BATCH, LENGTH = 8, 64


def outputs_of(level: str, *, is_corrected: bool) -> dict[str, float]:
    """Mean size of what attention and feed-forward add to the stream, after some steps of AdamW."""
    raw: dict[str, Any] = yaml.safe_load(render(SIZES["tiny"], level, is_corrected=is_corrected))
    raw["trainer"]["init"]["schedulers"] = [{"ConstantLR": {"learning_rate": RATE}}]
    params = Params.model_validate(raw)
    vocab_size = params.trainer.init.model.vocab_size
    numbers = np.random.default_rng(0)
    weights = 1.0 / np.arange(1, vocab_size + 1)
    batches = []
    for _ in range(NUM_STEPS):
        tokens = numbers.choice(vocab_size, (BATCH, LENGTH + 1), p=weights / weights.sum())
        ids = torch.from_numpy(tokens.astype(np.int32))
        batches.append(
            {
                "input_ids": ids[:, :-1],
                "labels": ids[:, 1:],
                "attention_mask": torch.ones(BATCH, LENGTH, dtype=torch.int32),
            }
        )
    return block_outputs(params, batches)


@pytest.fixture(scope="module")
def dense() -> dict[str, float]:
    return outputs_of("dense", is_corrected=False)


@pytest.mark.parametrize("level", ["50", "75"])
def test_corrected_activations_keep_the_size_of_the_dense_model(
    dense: dict[str, float], level: str
) -> None:
    for name, size in outputs_of(level, is_corrected=True).items():
        assert 0.7 < size / dense[name] < 1.4, name


def test_control_uncorrected_activations_vanish_with_the_density(dense: dict[str, float]) -> None:
    for name, size in outputs_of("75", is_corrected=False).items():
        assert size / dense[name] < 0.5, name
    for name, size in outputs_of("50", is_corrected=False).items():
        assert size / dense[name] < 0.7, name
