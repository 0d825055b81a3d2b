"""Our decoder and data beside ModelZoo's own gpt3 and GptHDF5MapDataProcessor."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mediswift_cs.modelzoo import register

pytestmark = pytest.mark.modelzoo

SHAPE: dict[str, Any] = {
    "vocab_size": 101,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_heads": 4,
    "filter_size": 160,
    "max_position_embeddings": 48,
    "dropout_rate": 0.0,
    "embedding_dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}


def make_models(**keys: Any) -> tuple[Any, Any]:
    """ModelZoo's gpt3 and ours with its weights, drawn large enough to tell mistakes."""
    register()
    from cerebras.modelzoo.models.nlp.gpt3.model import GPT3Model, GPT3ModelConfig

    from mediswift_cs.modelzoo.models import MediSwiftModel, MediSwiftModelConfig

    torch.manual_seed(0)
    theirs = GPT3Model(GPT3ModelConfig(name="gpt3", **SHAPE, **keys))
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = MediSwiftModel(MediSwiftModelConfig(name="mediswift", **SHAPE, **keys))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def make_batch() -> dict[str, Tensor]:
    """Random ids of which a third do not count."""
    torch.manual_seed(1)
    ids = torch.randint(0, SHAPE["vocab_size"], (2, 41), dtype=torch.int32)
    loss_mask = (torch.rand(2, 40) > 0.3).int()
    labels = ids[:, 1:].contiguous()
    return {"input_ids": ids[:, :-1], "attention_mask": loss_mask, "labels": labels}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"share_embedding_weights": False, "use_bias_in_output": True},
        {
            "use_projection_bias_in_attention": False,
            "use_ffn_bias_in_attention": False,
            "use_ffn_bias": False,
        },
        {"layer_norm_epsilon": 1e-2, "loss_scaling": "batch_size", "loss_weight": 0.01},
    ],
    ids=["default", "untied head with bias", "no biases", "epsilon and loss scaling"],
)
def test_logits_loss_gradients_and_keys_are_gpt3s(cpu_backend: Any, keys: dict[str, Any]) -> None:
    theirs, ours = make_models(**keys)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    batch = make_batch()
    expected = theirs.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    logits = ours.model(batch["input_ids"])
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    # Controls: the logits are far from constant, and each position sees the one before it.
    assert expected.std() > 0.5
    changed = batch["input_ids"].clone()
    changed[:, 0] = (changed[:, 0] + 1) % SHAPE["vocab_size"]
    assert (ours.model(changed) - expected).abs().amax(dim=(0, 2)).min() > 1e-4

    loss, expected_loss = ours(batch), theirs(batch)
    torch.testing.assert_close(loss, expected_loss, atol=1e-6, rtol=1e-6)
    loss.backward()
    expected_loss.backward()
    gradients = dict(theirs.named_parameters(remove_duplicate=False))
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_stock_data_processor_gives_the_same_batches(
    cpu_backend: Any, toy_data: Path, shuffle: bool, drop_last: bool
) -> None:
    register()
    from cerebras.modelzoo.data.nlp.gpt.GptHDF5MapDataProcessor import (
        GptHDF5MapDataProcessor,
        GptHDF5MapDataProcessorConfig,
    )

    from mediswift_cs.modelzoo.models import (
        MediSwiftPretrainingDataProcessor,
        MediSwiftPretrainingDataProcessorConfig,
    )

    keys: dict[str, Any] = {
        "data_dir": str(toy_data / "val"),
        "batch_size": 4,
        "shuffle": shuffle,
        "shuffle_seed": 7,
        "drop_last": drop_last,
    }
    theirs = GptHDF5MapDataProcessor(
        GptHDF5MapDataProcessorConfig(data_processor="GptHDF5MapDataProcessor", **keys)
    )
    ours = MediSwiftPretrainingDataProcessor(MediSwiftPretrainingDataProcessorConfig(**keys))
    expected = list(theirs.create_dataloader())
    batches = list(ours.create_dataloader())
    assert len(batches) == len(expected) == (5 if drop_last else 6)
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, tensor in batch.items():
            assert tensor.dtype == torch.int32
            assert torch.equal(tensor, other[name])
    other_seed = MediSwiftPretrainingDataProcessorConfig(**{**keys, "shuffle_seed": 8})
    first = next(iter(MediSwiftPretrainingDataProcessor(other_seed).create_dataloader()))
    assert torch.equal(first["input_ids"], batches[0]["input_ids"]) is not shuffle
