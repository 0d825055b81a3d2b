"""The closed form against torch's own counter and the masks that cerebras-pytorch draws."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mediswift_cs.flops import num_kept
from mediswift_cs.model import attention
from mediswift_cs.model.finetuning import build_model
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.schema import ModelParams
from mediswift_cs.params.sparsity import SparsityParams
from mediswift_cs.sizes import SPARSE_WEIGHTS
from mediswift_cs.training.masks import masked_weights

from .test_flops import LENGTH, TOY, toy_shape

BATCH = 3


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[MediSwiftModel, int, int]:
    """The model, and what torch counts in its forward and in its forward and backward pass."""
    # Torch's counter knows the explicit products, not the fused CPU kernel.
    monkeypatch.setattr(attention, "fused_attention", attention.explicit_attention)
    model = MediSwiftModel(TOY)
    ids = torch.randint(0, TOY.vocab_size, (BATCH, LENGTH), dtype=torch.int32)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with FlopCounterMode(display=False) as forward:
        loss = model(batch)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    num_forward = forward.get_total_flops()
    return model, num_forward, num_forward + backward.get_total_flops()


def test_dense_passes_equal_torchs_counter(counted: tuple[MediSwiftModel, int, int]) -> None:
    _, forward, training = counted
    assert (toy_shape().forward_flops() * BATCH).total == forward
    assert (toy_shape().training_flops() * BATCH).total == training

    assert (toy_shape(num_hidden_layers=2).training_flops() * BATCH).total != training, "control"
    assert (toy_shape().training_flops(with_softmax=True) * BATCH).total != training, "control"


def test_training_a_soft_prompt_alone_saves_the_gradients_of_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "fused_attention", attention.explicit_attention)
    prompt = {"num_virtual_tokens": 5}
    changes = {"name": "mediswift_finetuning", "soft_prompt": prompt, "trainable": "soft_prompt"}
    model = build_model(ModelParams(**(TOY.model_dump() | changes)))
    ids = torch.randint(0, TOY.vocab_size, (BATCH, LENGTH), dtype=torch.int32)
    ids[:, :5] = TOY.vocab_size + torch.arange(5)
    labels = ids.clamp(max=TOY.vocab_size - 1)
    with FlopCounterMode(display=False) as counter:
        model(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        ).backward()
    expected = toy_shape().training_flops(weights_train=False) * BATCH
    assert expected.total == counter.get_total_flops()
    assert expected.total < (toy_shape().training_flops() * BATCH).total


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.3, 0.9])
@pytest.mark.usefixtures("cpu_backend")
def test_sparse_passes_equal_a_count_over_the_masks(
    counted: tuple[MediSwiftModel, int, int], sparsity: float
) -> None:
    import cerebras.pytorch as cstorch

    model, forward, training = counted
    params = SparsityParams(sparsity=sparsity, param_filter=list(SPARSE_WEIGHTS))
    algorithm = cstorch.sparse.configure(params.model_dump(exclude_none=True))
    algorithm.apply(model)
    algorithm.initialize()
    masks = [mask for _, _, mask in masked_weights(model)]
    assert len(masks) == 6 * TOY.num_hidden_layers
    num_pruned = sum(mask.numel() - int(mask.sum()) for mask in masks)
    # Each weight is one multiplication and one addition a token.
    saved = 2 * num_pruned * LENGTH * BATCH
    assert (toy_shape(sparsity).forward_flops() * BATCH).total == forward - saved
    assert (toy_shape(sparsity).training_flops() * BATCH).total == training - 3 * saved

    assert (toy_shape(sparsity + 0.01).training_flops() * BATCH).total != training - 3 * saved


@pytest.mark.usefixtures("cpu_backend")
def test_rounding_of_the_masks_is_cerebras_pytorchs() -> None:
    import cerebras.pytorch as cstorch

    counts = [(36 * 36, 0.3), (36 * 100, 0.3), (97 * 89, 0.75), (1000, 0.999), (7, 0.5)]
    for num_weights, sparsity in counts:
        mask = cstorch.sparse.init.random(torch.zeros(1, num_weights), torch.tensor(sparsity))
        assert num_kept(num_weights, sparsity) == int(mask.sum()), (num_weights, sparsity)
    assert num_kept(7, 0.5) != round(7 * 0.5), "control: rounding to the nearest would show"
