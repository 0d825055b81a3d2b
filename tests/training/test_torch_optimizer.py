"""The optimizer and the schedules of the host torch against cerebras-pytorch's own."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mediswift_cs.params.optimizer import AdamWParams, SchedulerParams
from mediswift_cs.training.hosts.torch.optimizer import AdamW
from mediswift_cs.training.parameter_groups import parameter_groups
from mediswift_cs.training.schedule import learning_rate

Raw = dict[str, Any]


def line(start: float, end: float, num_steps: int, **others: Any) -> Raw:
    return {
        "initial_learning_rate": start,
        "end_learning_rate": end,
        "total_iters": num_steps,
        **others,
    }


SCHEDULES: list[Raw] = [
    {"ConstantLR": {"learning_rate": 0.3}},
    {"LinearLR": line(0.0, 1.0, 7)},
    {"LinearLR": line(0.0, 1.0, 7, cycle=True)},
    {"CosineDecayLR": line(1.0, 0.1, 9)},
    {"PolynomialLR": line(1.0, 0.1, 9, power=2.0)},
    {"PolynomialLR": line(1.0, 0.1, 9, power=0.0)},
    {"InverseSquareRootDecayLR": {"initial_learning_rate": 0.5, "scale": 3.0, "warmup_steps": 4}},
    {
        "SequentialLR": {
            "schedulers": [{"LinearLR": line(0, 1, 3)}, {"CosineDecayLR": line(1, 0, 8)}],
        }
    },
    {
        "SequentialLR": {
            "schedulers": [
                {"LinearLR": line(0, 1, 3)},
                {"ConstantLR": {"learning_rate": 1.0, "total_iters": 4}},
                {"LinearLR": line(1, 0, 5)},
            ]
        }
    },
    {
        "SequentialLR": {
            "milestones": [2, 5],
            "schedulers": [{"LinearLR": line(0, 1, 4)}] * 3,
        }
    },
]


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize("entry", SCHEDULES)
def test_rates_are_those_of_cerebras_pytorch(entry: Raw) -> None:
    import cerebras.pytorch as cstorch

    from mediswift_cs.training.hosts.cerebras.optimizer import configure_scheduler

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = cstorch.optim.AdamW([weight], lr=0.0)
    checked = SchedulerParams.model_validate(entry)
    scheduler = configure_scheduler(optimizer, checked.model_dump(exclude_none=True))
    found = []
    for step in range(20):
        expected = float(optimizer.param_groups[0]["lr"])
        found.append(learning_rate(checked, step))
        assert found[-1] == pytest.approx(expected, rel=1e-6, abs=1e-7), step
        optimizer.step()
        scheduler.step()
    assert len(set(found)) > 1 or "ConstantLR" in entry


# A large epsilon, so that adding it on the wrong side of the bias correction would show.
SETTINGS: Raw = {"learning_rate": 1e-2, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1}


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(16, 24), torch.nn.LayerNorm(24), torch.nn.Linear(24, 4)
    )


def train(model: torch.nn.Module, update: Callable[[], Any], num_steps: int) -> torch.Tensor:
    torch.manual_seed(1)
    for _ in range(num_steps):
        model.zero_grad()
        model(torch.randn(8, 16)).square().mean().backward()
        update()
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


def theirs(model: torch.nn.Module, settings: Raw) -> Any:
    import cerebras.pytorch as cstorch

    named = {("lr" if key == "learning_rate" else key): value for key, value in settings.items()}
    return cstorch.optim.AdamW(parameter_groups(model, AdamWParams(**settings)), **named)


@pytest.mark.usefixtures("cpu_backend")
def test_the_optimizer_computes_what_cerebras_pytorch_does(model: torch.nn.Module) -> None:
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    ours = AdamW(model, AdamWParams(**SETTINGS))
    expected = train(twin, theirs(twin, SETTINGS).step, 50)
    found = train(model, lambda: ours.update(SETTINGS["learning_rate"]), 50)
    assert (found - expected).abs().max() < 2e-6
    # torch adds epsilon after the bias correction: giving it another one is not idle.
    torchs = torch.optim.AdamW(
        parameter_groups(third, AdamWParams(weight_decay=0.1)),
        lr=1e-2,
        betas=(0.9, 0.95),
        eps=1e-3,
        weight_decay=0.1,
    )
    assert (train(third, torchs.step, 50) - expected).abs().max() > 1e-4


GROUP_KEYS = (
    *("betas", "eps", "correct_bias", "amsgrad"),
    *("weight_decay", "l2_regularization_rate"),
)


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"correct_bias": False}, {"exp_avg", "exp_avg_sq"}),
        (
            {"amsgrad": True},
            {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "beta1_power", "beta2_power"},
        ),
        ({}, {"exp_avg", "exp_avg_sq", "beta1_power", "beta2_power"}),
    ],
)
def test_a_state_is_that_of_cerebras_pytorch_and_goes_on(
    model: torch.nn.Module, changes: Raw, names: set[str]
) -> None:
    # Small gradients and later smaller ones, so that the largest second moment counts.
    settings = {**SETTINGS, **changes, "eps": 1e-8}
    twin = copy.deepcopy(model)
    plain, ours = theirs(twin, settings), AdamW(model, AdamWParams(**settings))
    train(twin, plain.step, 5)
    train(model, lambda: ours.update(1e-2), 5)
    state, expected_state = ours.to_state(1e-2), plain.state_dict()
    assert set(state) == set(expected_state)
    for found, expected in zip(state["param_groups"], expected_state["param_groups"], strict=True):
        assert found == {key: expected[key] for key in found}
        assert set(found) == {*GROUP_KEYS, "params", "lr"}
        assert found["l2_regularization_rate"] == 0.0
    for number, expected in expected_state["state"].items():
        found = state["state"][number]
        assert set(found) == set(expected) == names
        for name in names:
            torch.testing.assert_close(
                found[name], expected[name].reshape(found[name].shape), atol=1e-6, rtol=1e-5
            )
    again, others = copy.deepcopy(model), copy.deepcopy(model)
    resumed = AdamW(again, AdamWParams(**settings))
    resumed.from_state(state)
    expected = train(model, lambda: ours.update(1e-2), 5)
    assert torch.equal(train(again, lambda: resumed.update(1e-2), 5), expected)
    assert (train(twin, plain.step, 5) - expected).abs().max() < 2e-6
    fresh = AdamW(others, AdamWParams(**settings))
    assert (train(others, lambda: fresh.update(1e-2), 5) - expected).abs().max() > 1e-4, "control"


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize(
    "betas", [(0.9, 0.999), (0.9, 0.95), (0.0, 0.99), (0.9, 0.9999), (0.99, 0.9)]
)
@pytest.mark.parametrize("num_steps", [0, 100, 655, 656, 2_000, 20_000])
def test_the_bias_correction_of_any_step(
    model: torch.nn.Module, betas: tuple[float, float], num_steps: int
) -> None:
    """Also where one power has left float32's range and the other still corrects."""
    settings = {**SETTINGS, "betas": betas, "eps": 1e-8}
    twin = copy.deepcopy(model)
    plain = theirs(twin, settings)
    for state in plain.state.values():
        for name, beta in zip(("beta1_power", "beta2_power"), betas, strict=True):
            state[name].fill_(beta ** (num_steps + 1))
        state["exp_avg_sq"].fill_(1e-3)
    ours = AdamW(model, AdamWParams(**settings))
    ours.from_state(plain.state_dict())
    again = AdamW(copy.deepcopy(model), AdamWParams(**settings))
    again.from_state(ours.to_state(0.1))
    assert again.num_updates == ours.num_updates, "what is saved is what was there"
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    expected = train(twin, plain.step, 3)
    found = train(model, lambda: ours.update(settings["learning_rate"]), 3)
    assert (found - expected).abs().max() < 1e-6
    assert (before - expected).abs().max() > 1e-3


def test_a_state_of_another_model_does_not_fit(model: torch.nn.Module) -> None:
    ours = AdamW(model, AdamWParams(**SETTINGS))
    state = ours.to_state(0.1)
    wider = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.LayerNorm(32), torch.nn.Linear(32, 4)
    )
    with pytest.raises(ValueError, match=r"exp_avg.* 0 has shape \[24, 16\], allowed: \[32, 16\]"):
        AdamW(wider, AdamWParams(**SETTINGS)).from_state(state)
    with pytest.raises(ValueError, match=r"in groups of \[2, 4\], allowed: \[1, 1\]"):
        AdamW(torch.nn.Linear(3, 3), AdamWParams(**SETTINGS)).from_state(state)


def test_other_betas_do_not_change_how_many_updates_there_were(model: torch.nn.Module) -> None:
    ours = AdamW(model, AdamWParams(**SETTINGS))
    train(model, lambda: ours.update(0.1), 7)
    other = AdamW(model, AdamWParams(**{**SETTINGS, "betas": (0.8, 0.999)}))
    other.from_state(ours.to_state(0.1))
    assert other.num_updates == 7


def test_a_factor_multiplies_the_rate_and_stands_in_the_state() -> None:
    layers = {name: torch.nn.Linear(3, 3, bias=False) for name in ("embedding", "last")}
    model = torch.nn.ModuleDict(layers)
    settings = {**SETTINGS, "weight_decay": 0.0, "adjust_learning_rate": {"embedding": 0.5}}
    ours = AdamW(model, AdamWParams.model_validate(settings))
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    for layer in layers.values():
        layer.weight.grad = torch.ones(3, 3)
    ours.update(0.1)
    half, whole = (before[name] - layer.weight.detach() for name, layer in layers.items())
    torch.testing.assert_close(half, whole / 2)
    assert (whole > 0.05).all(), "control"
    groups = ours.to_state(0.2)["param_groups"]
    assert [(g["adjust_learning_rate"], g["lr"]) for g in groups] == [(0.5, 0.1), (1.0, 0.2)]
