"""AdamW as ModelZoo sets it up, with torch's fused kernel on CPU and GPU, and its schedules."""

import math
from itertools import accumulate
from typing import Any

import cerebras.pytorch as cstorch
import torch
from torch import Tensor, nn

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import OptimizerParams
from mediswift_cs.training.parameter_groups import parameter_groups


class FusedAdamW(cstorch.optim.AdamW):
    """cerebras-pytorch's AdamW, computed by torch's fused kernel in one pass over memory.

    The state and the mathematics are those of the parent class. It keeps a power of each beta for
    every parameter and adds epsilon before the bias correction; the kernel counts steps and adds
    epsilon after it. So the correction is part of the learning rate that the kernel is given.
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
        correction = 1.0
        if group["correct_bias"]:
            correction1 = 1.0 - float(states[0]["beta1_power"])
            correction2 = 1.0 - float(states[0]["beta2_power"])
            correction = math.sqrt(correction2) / correction1
        # After infinitely many steps the kernel's own correction is 1.
        count = torch.tensor(math.inf, dtype=torch.float32, device=parameters[0].device)
        torch._fused_adamw_(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [count.clone() for _ in parameters],
            lr=float(group["lr"]) * correction,
            beta1=beta1,
            beta2=beta2,
            # The kernel multiplies it with the learning rate, of which decay takes no correction.
            weight_decay=group["weight_decay"] / correction,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        if group["correct_bias"]:
            torch._foreach_mul_([s["beta1_power"] for s in states], beta1)
            torch._foreach_mul_([s["beta2_power"] for s in states], beta2)


def configure_optimizer(model: nn.Module, params: OptimizerParams) -> cstorch.optim.Optimizer:
    """The optimizer for the current backend; schedulers replace its learning rate."""
    arguments = params.AdamW.model_dump()
    learning_rate, weight_decay = arguments.pop("learning_rate"), arguments["weight_decay"]
    is_fused = not params.AdamW.amsgrad and not cstorch.use_cs()
    optimizer_class = FusedAdamW if is_fused else cstorch.optim.AdamW
    optimizer: cstorch.optim.Optimizer = optimizer_class(
        parameter_groups(model, weight_decay), lr=learning_rate or 0.0, **arguments
    )
    return optimizer


def configure_scheduler(optimizer: cstorch.optim.Optimizer, entry: dict[str, Any]) -> Any:
    """A scheduler from one YAML entry, such as ``{LinearLR: {total_iters: 10, ...}}``."""
    ((name, arguments),) = entry.items()
    scheduler_class = getattr(cstorch.optim.lr_scheduler, name, None)
    if scheduler_class is None:
        raise ConfigError(
            f"trainer.init.schedulers: got {name}, allowed: a class of "
            f"cerebras.pytorch.optim.lr_scheduler"
        )
    arguments = dict(arguments)
    if "schedulers" in arguments:
        parts = arguments["schedulers"]
        arguments["schedulers"] = [configure_scheduler(optimizer, part) for part in parts]
        if name == "SequentialLR" and arguments.get("milestones") is None:
            # As ModelZoo does: each part runs for its own total_iters.
            lengths = [next(iter(part.values()))["total_iters"] for part in parts[:-1]]
            arguments["milestones"] = list(accumulate(lengths))
    return scheduler_class(optimizer, **arguments)
