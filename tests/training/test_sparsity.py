"""Masks: exact counts, where they are and where not, and that they never move."""

from typing import Any

import pytest
import torch

from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.masks import (
    mask_gradients,
    masked_weights,
    measure_sparsity,
)


def train(host: TorchSession, params: Params, num_steps: int) -> None:
    assert params.trainer.fit is not None
    dataloader = host.make_dataloader(params.trainer.fit.train_dataloader)
    host.model.train()
    for batches in host.updates(dataloader, num_steps, []):
        host.update(batches)


def zeros(tensor: torch.Tensor) -> int:
    return tensor.numel() - int(torch.count_nonzero(tensor))


@pytest.mark.parametrize("level", [0.5, 0.75])
def test_exact_zeros_in_weights_and_moments_and_nowhere_else(
    toy_raw: dict[str, Any], level: float
) -> None:
    toy_raw["trainer"]["init"]["sparsity"]["sparsity"] = level
    params = Params(**toy_raw)
    session = TorchSession(params, "CPU", for_training=True)
    session.draw_masks()
    masks = {name: mask.clone() for name, _, mask in masked_weights(session.model)}
    assert len(masks) == 6 * params.trainer.init.model.num_hidden_layers
    train(session, params, 9)

    assert session.optimizer is not None
    for name, weight in session.model.named_parameters():
        state = session.optimizer.state[weight]
        moments = [state["exp_avg"], state["exp_avg_sq"]]
        if name in masks:
            assert zeros(weight) == level * weight.numel(), name
            assert all(zeros(moment) == level * weight.numel() for moment in moments), name
            assert torch.equal(weight != 0, masks[name]), "the mask is where it was"
        elif "embedding" not in name:
            assert zeros(weight) == 0, name


def test_control_dense_run_has_no_zeros(toy_raw: dict[str, Any]) -> None:
    del toy_raw["trainer"]["init"]["sparsity"]
    params = Params(**toy_raw)
    session = TorchSession(params, "CPU", for_training=True)
    session.draw_masks()
    train(session, params, 3)
    assert measure_sparsity(session.model).num_zeros == 0


def test_table_has_one_line_a_layer(toy_raw: dict[str, Any]) -> None:
    session = TorchSession(Params(**toy_raw), "CPU", for_training=False)
    session.draw_masks()
    title, first, second, total = measure_sparsity(session.model).to_text().splitlines()
    assert title.split() == ["layer", "q", "k", "v", "output", "ffn.0", "ffn.1"]
    assert first.split() == ["0"] + ["0.7500"] * 6
    assert second.split() == ["1"] + ["0.7500"] * 6
    assert total.endswith("= 0.750000")


def test_nan_of_a_pruned_weight_is_not_a_gradient() -> None:
    model = torch.nn.Linear(2, 2, bias=False)
    model.register_buffer("weight_mask", torch.tensor([[True, False], [True, True]]))
    model.weight.grad = torch.tensor([[1.0, float("nan")], [2.0, 3.0]])
    mask_gradients(masked_weights(model))
    assert torch.equal(model.weight.grad, torch.tensor([[1.0, 0.0], [2.0, 3.0]]))


def test_a_weight_without_a_gradient_gets_none() -> None:
    model = torch.nn.Linear(2, 2, bias=False)
    model.register_buffer("weight_mask", torch.tensor([[True, False], [True, True]]))
    mask_gradients(masked_weights(model))
    assert model.weight.grad is None
