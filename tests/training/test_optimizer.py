"""The optimizer's parameter groups, and schedules, on the host cerebras."""

from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch
from torch import nn

from mediswift_cs.errors import ConfigError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.optimizer import AdamWParams
from mediswift_cs.params.schema import OptimizerParams, Params
from mediswift_cs.training.hosts.cerebras.optimizer import (
    configure_optimizer,
    configure_scheduler,
)
from mediswift_cs.training.parameter_groups import parameter_groups


@pytest.fixture
def model(cpu_backend: Any) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.LayerNorm(24), nn.Linear(24, 4))


def test_biases_and_norms_do_not_decay(toy_raw: dict[str, Any], cpu_backend: Any) -> None:
    config = Params(**toy_raw).trainer.init.model
    model = MediSwiftModel(config)
    decayed, not_decayed = parameter_groups(model, AdamWParams(weight_decay=0.1))
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert not_decayed["weight_decay"] == 0.0
    assert all("norm" not in names[id(p)] for p in decayed["params"])
    assert all(p.dim() == 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in not_decayed["params"])
    assert len(decayed["params"]) + len(not_decayed["params"]) == len(names)


def rates(model: nn.Module, entry: dict[str, Any], num_steps: int) -> list[float]:
    """The learning rates of the first steps under a schedule."""
    optimizer = cstorch.optim.AdamW(parameter_groups(model, AdamWParams(weight_decay=0.1)), lr=0.1)
    scheduler = configure_scheduler(optimizer, entry)
    found = []
    for _ in range(num_steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def linear(start: float, end: float, num_steps: int) -> dict[str, Any]:
    return {
        "LinearLR": {
            "initial_learning_rate": start,
            "end_learning_rate": end,
            "total_iters": num_steps,
        }
    }


def test_each_schedule_of_a_sequence_runs_for_its_own_length(model: nn.Module) -> None:
    parts = [linear(0.0, 1.0, 2), linear(1.0, 0.5, 4), linear(0.5, 0.5, 1)]
    expected = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5]
    assert rates(model, {"SequentialLR": {"schedulers": parts}}, 7) == pytest.approx(expected)
    entry = {"SequentialLR": {"schedulers": parts, "milestones": [1, 5]}}
    assert rates(model, entry, 3) == pytest.approx([0.0, 1.0, 0.875]), "given ones are kept"
    with pytest.raises(ConfigError, match=r"trainer\.init\.schedulers: got NoLR, allowed: a class"):
        rates(model, {"NoLR": {}}, 1)


def test_the_params_set_the_optimizer_up(model: nn.Module) -> None:
    params = OptimizerParams(AdamW={"learning_rate": 0.25, "weight_decay": 0.5})  # type: ignore[arg-type]
    optimizer = configure_optimizer(model, params)
    assert type(optimizer) is cstorch.optim.AdamW
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    assert all(group["lr"] == 0.25 for group in optimizer.param_groups)
