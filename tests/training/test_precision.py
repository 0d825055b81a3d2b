"""Number formats, loss scaling and clipping, without a device that needs them."""

from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch

from mediswift_cs.params.schema import PrecisionParams
from mediswift_cs.training.hosts.cerebras.precision import Precision

SCALE = 1024.0
RATE = 0.5


class Scaler:
    """The calls of a gradient scaler, in their order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        self.calls.append("scale")
        return loss * SCALE

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= SCALE

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("step")
        optimizer.step()

    def update(self) -> None:
        self.calls.append("update")

    def get_scale(self) -> torch.Tensor:
        return torch.tensor(8.0)

    def get_non_clamped_scale(self) -> torch.Tensor:
        return torch.tensor(4.0)


def update(precision: Precision, gradient: list[float]) -> list[float]:
    """What one step of plain gradient descent subtracts, divided by the learning rate."""
    weight = torch.nn.Parameter(torch.zeros(2))
    precision.backward((weight * torch.tensor(gradient)).sum())
    precision.optimizer_step(torch.optim.SGD([weight], lr=RATE))
    return (-weight / RATE).tolist()


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize(
    ("clipping", "expected"),
    [
        ({}, [3.0, -4.0]),
        ({"max_gradient_norm": 1.0}, [0.6, -0.8]),
        ({"max_gradient_norm": 50.0}, [3.0, -4.0]),
        ({"max_gradient_value": 3.5}, [3.0, -3.5]),
    ],
)
def test_gradients_are_unscaled_and_then_clipped(
    clipping: dict[str, float], expected: list[float], is_scaled: bool
) -> None:
    precision = Precision(PrecisionParams(enabled=False, **clipping))
    scaler = precision.scaler = Scaler() if is_scaled else None
    # Clipped before, 50 would cut the scaled gradient of norm 5 x 1024, and 1 leave 1/1024.
    assert update(precision, [3.0, -4.0]) == pytest.approx(expected, rel=1e-4)
    if scaler is not None:
        assert scaler.calls == ["scale", "unscale", "step", "update"]


@pytest.mark.usefixtures("cpu_backend")
def test_groups_are_clipped_together() -> None:
    precision = Precision(PrecisionParams(enabled=False, max_gradient_norm=1.0))
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    for weight, gradient in zip(weights, (3.0, 4.0), strict=True):
        weight.grad = torch.tensor([gradient])
    precision.clip_gradients(torch.optim.SGD([{"params": [weight]} for weight in weights], lr=1.0))
    assert [float(weight.grad) for weight in weights] == pytest.approx([0.6, 0.8], rel=1e-4)
    assert precision.gradient_norm == pytest.approx(5.0), "as it was before"


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize(("enabled", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_forward_pass_runs_in_the_format_of_the_params(
    enabled: bool, dtype: torch.dtype
) -> None:
    precision = Precision(PrecisionParams(enabled=enabled, fp16_type="cbfloat16"))
    precision.create_scaler()
    assert precision.scaler is None, "bfloat16 needs none"
    with precision.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


@pytest.mark.usefixtures("cpu_backend")
@pytest.mark.parametrize(
    ("loss_scaling_factor", "failure"),
    [
        ("dynamic", "gradients are still not finite at the smallest loss scale, 8,"),
        (128.0, None),
    ],
)
def test_a_dynamic_scale_is_watched(
    loss_scaling_factor: Any, failure: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PrecisionParams(
        enabled=False, loss_scaling_factor=loss_scaling_factor, log_loss_scale=True
    )
    precision = Precision(params)
    precision.watch_loss_scale()
    assert precision.failure is None, "nothing to watch"
    precision.scaler = Scaler()
    # At the end of the step; here at once.
    monkeypatch.setattr(f"{Precision.__module__}.after_step", lambda function: function)
    precision.watch_loss_scale()
    assert precision.failure == failure
    assert precision.logged_loss_scale == (8.0 if failure else None)


@pytest.mark.usefixtures("cpu_backend")
def test_a_scale_that_can_still_fall_is_normal() -> None:
    precision = Precision(PrecisionParams(enabled=False, log_loss_scale=True))
    precision.note_loss_scale(torch.tensor(8.0), torch.tensor(8.0))
    assert precision.failure is None
    assert precision.logged_loss_scale == 8.0
    silent = Precision(PrecisionParams(enabled=False))
    silent.note_loss_scale(torch.tensor(8.0), torch.tensor(16.0))
    assert silent.failure is None
    assert silent.logged_loss_scale is None


@pytest.mark.parametrize("fp16_type", ["cbfloat16", "bfloat16", "float16"])
def test_a_csx_gets_format_and_scaler_of_the_params(
    fp16_type: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Csx:
        is_csx = True

    set_to: dict[str, Any] = {}
    monkeypatch.setattr(cstorch, "backend", Csx)
    monkeypatch.setattr(cstorch.amp, "enable_mixed_precision", lambda: set_to.update(mixed=True))
    monkeypatch.setattr(cstorch.amp, "set_half_dtype", lambda name: set_to.update(half=name))
    monkeypatch.setattr(cstorch.amp, "GradScaler", lambda **settings: settings)
    level = cstorch.backends.csx.precision.optimization_level
    try:
        params = PrecisionParams(
            enabled=True,
            fp16_type=fp16_type,
            precision_opt_level=2,
            loss_scaling_factor="dynamic",
            initial_loss_scale=64.0,
            steps_per_increase=7,
            min_loss_scale=2.0,
            max_loss_scale=256.0,
        )
        precision = Precision(params)
        assert cstorch.backends.csx.precision.optimization_level == 2
        cstorch.backends.csx.precision.optimization_level = 1
        Precision(params.model_copy(update={"precision_opt_level": None}))
        assert cstorch.backends.csx.precision.optimization_level == 1
    finally:
        cstorch.backends.csx.precision.optimization_level = level
    assert set_to == {"mixed": True, "half": fp16_type}
    precision.create_scaler()
    scaler = {
        "loss_scale": "dynamic",
        "init_scale": 64.0,
        "steps_per_increase": 7,
        "min_loss_scale": 2.0,
        "max_loss_scale": 256.0,
    }
    assert precision.scaler == (None if fp16_type == "bfloat16" else scaler)
    clipping = Precision(params.model_copy(update={"max_gradient_norm": 1.0}))
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([3.0])
    clipping.clip_gradients(torch.optim.SGD([weight], lr=1.0))
    assert float(weight.grad) == pytest.approx(1.0, rel=1e-4)
    assert clipping.gradient_norm is None, "a graph cannot be asked while it is traced"
    with precision.autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
