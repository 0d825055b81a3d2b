"""The fused AdamW against cerebras-pytorch's own, the parameter groups, and schedules."""

import copy
from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch
from torch import nn

from mediswift_cs.errors import ConfigError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.schema import OptimizerParams, Params
from mediswift_cs.training.hosts.cerebras.optimizer import (
    FusedAdamW,
    configure_optimizer,
    configure_scheduler,
    parameter_groups,
)

# A large epsilon, so that adding it on the wrong side of the bias correction would show.
SETTINGS: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    for _ in range(num_steps):
        optimizer.zero_grad()
        model(torch.randn(8, 16)).square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def largest_difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


@pytest.fixture
def model(cpu_backend: Any) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.LayerNorm(24), nn.Linear(24, 4))


def test_equals_the_parent_class(model: nn.Module) -> None:
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    fused = FusedAdamW(parameter_groups(model, 0.1), **SETTINGS)
    plain = cstorch.optim.AdamW(parameter_groups(twin, 0.1), **SETTINGS)
    torchs = torch.optim.AdamW(parameter_groups(third, 0.1), **SETTINGS)
    expected = train(twin, plain, 50)
    assert largest_difference(train(model, fused, 50), expected) < 2e-6
    # torch adds epsilon after the bias correction: the translation is not idle.
    assert largest_difference(train(third, torchs, 50), expected) > 1e-4
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert fused.state[ours].keys() == plain.state[theirs].keys()
        for name, value in fused.state[ours].items():
            torch.testing.assert_close(value, plain.state[theirs][name], atol=1e-6, rtol=1e-5)


def test_state_of_either_continues_in_the_other(model: nn.Module) -> None:
    start = cstorch.optim.AdamW(parameter_groups(model, 0.1), **SETTINGS)
    train(model, start, 7)
    twin = copy.deepcopy(model)
    fused = FusedAdamW(parameter_groups(model, 0.1), **SETTINGS)
    fused.load_state_dict(copy.deepcopy(start.state_dict()))
    plain = cstorch.optim.AdamW(parameter_groups(twin, 0.1), **SETTINGS)
    plain.load_state_dict(copy.deepcopy(start.state_dict()))
    assert largest_difference(train(model, fused, 20), train(twin, plain, 20)) < 2e-6


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.0, 0.99), (0.9, 0.9999)])
@pytest.mark.parametrize("num_steps", [0, 100, 655, 656, 2_000, 20_000])
def test_the_bias_correction_of_any_step(
    model: nn.Module, betas: tuple[float, float], num_steps: int
) -> None:
    """Also where one power has left float32's range and the other still corrects."""
    settings = {**SETTINGS, "betas": betas, "eps": 1e-8}
    twin = copy.deepcopy(model)
    fused = FusedAdamW(parameter_groups(model, 0.1), **settings)
    plain = cstorch.optim.AdamW(parameter_groups(twin, 0.1), **settings)
    for optimizer in (fused, plain):
        for state in optimizer.state.values():
            for name, beta in zip(("beta1_power", "beta2_power"), betas, strict=True):
                state[name].fill_(beta ** (num_steps + 1))
            state["exp_avg_sq"].fill_(1e-3)
    before = [p.detach().clone() for p in model.parameters()]
    expected = train(twin, plain, 3)
    assert largest_difference(train(model, fused, 3), expected) < 5e-7
    assert largest_difference(before, expected) > 1e-3


def test_biases_and_norms_do_not_decay(toy_raw: dict[str, Any], cpu_backend: Any) -> None:
    config = Params(**toy_raw).trainer.init.model
    model = MediSwiftModel(config)
    decayed, not_decayed = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert not_decayed["weight_decay"] == 0.0
    assert all("norm" not in names[id(p)] for p in decayed["params"])
    assert all(p.dim() == 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in not_decayed["params"])
    assert len(decayed["params"]) + len(not_decayed["params"]) == len(names)


def rates(model: nn.Module, entry: dict[str, Any], num_steps: int) -> list[float]:
    """The learning rates of the first steps under a schedule."""
    optimizer = FusedAdamW(parameter_groups(model, 0.1), **SETTINGS)
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


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("AdamW", {}, FusedAdamW),
        ("AdamW", {"amsgrad": True}, cstorch.optim.AdamW),
    ],
)
def test_the_params_choose_the_optimizer(
    model: nn.Module, name: str, settings: dict[str, Any], expected: type
) -> None:
    params = OptimizerParams(**{name: {"learning_rate": 0.25, "weight_decay": 0.5, **settings}})
    optimizer = configure_optimizer(model, params)
    assert type(optimizer) is expected
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    assert all(group["lr"] == 0.25 for group in optimizer.param_groups)


def test_frozen_parameters_are_left_out_and_no_gradient_is_no_step(model: nn.Module) -> None:
    first = next(model.parameters())
    first.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    assert all(p is not first for group in groups for p in group["params"])
    before = [p.detach().clone() for p in model.parameters()]
    FusedAdamW(groups, **SETTINGS).step()
    assert largest_difference(before, list(model.parameters())) == 0.0


def test_without_bias_correction_it_equals_the_parent_too(model: nn.Module) -> None:
    twin = copy.deepcopy(model)
    settings = {**SETTINGS, "correct_bias": False}
    fused = FusedAdamW(parameter_groups(model, 0.1), **settings)
    plain = cstorch.optim.AdamW(parameter_groups(twin, 0.1), **settings)
    assert largest_difference(train(model, fused, 5), train(twin, plain, 5)) < 2e-6
