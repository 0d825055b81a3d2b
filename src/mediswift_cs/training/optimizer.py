"""AdamW as ModelZoo sets it up, with torch's fused kernel on CPU and GPU."""

import math
from typing import Any

import cerebras.pytorch as cstorch
import torch
from torch import Tensor, nn

from mediswift_cs.params.schema import OptimizerParams


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights and embeddings decay; biases and layer norms do not.

    This is the grouping of ModelZoo 2.10 (``optim_utils.configure_param_groups``), in its order,
    so that optimizer states mean the same parameters in both hosts.
    """
    norms = tuple(
        name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)
    )
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_norm = name.rpartition(".")[0] in norms
        (not_decayed if is_norm or "bias" in name else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": not_decayed, "weight_decay": 0.0},
    ]


class FusedAdamW(cstorch.optim.AdamW):
    """cerebras-pytorch's AdamW, computed by torch's fused kernel in one pass over memory.

    The state and the mathematics are those of the parent class, which keeps a power of each beta
    for every parameter and adds epsilon before the bias correction: the kernel counts steps and
    adds epsilon after it, so both are translated.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._step_group(group, parameters)

    def _step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        states = [self.state[p] for p in parameters]
        num_steps, bias_correction2 = 1.0e9, 1.0
        if group["correct_bias"]:
            num_steps = steps_from_beta_power(float(states[0]["beta1_power"]), beta1)
            bias_correction2 = 1.0 - beta2**num_steps
        device = parameters[0].device
        count = torch.tensor(num_steps, dtype=torch.float32, device=device)
        torch._fused_adamw_(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [count.clone() for _ in parameters],
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"] / math.sqrt(bias_correction2),
            amsgrad=False,
            maximize=False,
        )
        if group["correct_bias"]:
            torch._foreach_mul_([s["beta1_power"] for s in states], beta1)
            torch._foreach_mul_([s["beta2_power"] for s in states], beta2)


def steps_from_beta_power(power: float, beta: float) -> float:
    """The whole number t with beta**t nearest to ``power``.

    Once the power has left float32's range the correction is 1 for any t, so a large t stands in.
    """
    if beta == 0.0 or power < 1.0e-30:
        return 1.0e5
    return float(max(1, round(math.log(power) / math.log(beta))))


def configure_optimizer(model: nn.Module, params: OptimizerParams) -> cstorch.optim.Optimizer:
    """The optimizer for the current backend; schedulers replace its learning rate."""
    assert params.arguments is not None
    arguments = params.arguments.model_dump()
    learning_rate, weight_decay = arguments.pop("learning_rate"), arguments["weight_decay"]
    optimizer_class = getattr(cstorch.optim, params.name)
    if params.AdamW is not None and not params.AdamW.amsgrad and not cstorch.use_cs():
        optimizer_class = FusedAdamW
    optimizer: cstorch.optim.Optimizer = optimizer_class(
        parameter_groups(model, weight_decay), lr=learning_rate or 0.0, **arguments
    )
    return optimizer
