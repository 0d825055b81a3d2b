"""AdamW as ModelZoo sets it up, and its schedules."""

from itertools import accumulate
from typing import Any

import cerebras.pytorch as cstorch
from torch import nn

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import OptimizerParams
from mediswift_cs.training.parameter_groups import parameter_groups


def configure_optimizer(model: nn.Module, params: OptimizerParams) -> cstorch.optim.Optimizer:
    """The optimizer for the current backend; schedulers replace its learning rate."""
    arguments = params.AdamW.model_dump(exclude={"adjust_learning_rate"})
    learning_rate = arguments.pop("learning_rate")
    groups = parameter_groups(model, params.AdamW)
    return cstorch.optim.AdamW(groups, lr=learning_rate or 0.0, **arguments)


def configure_scheduler(optimizer: cstorch.optim.Optimizer, entry: dict[str, Any]) -> Any:
    """A scheduler from one YAML entry, such as ``{LinearLR: {total_iters: 10, ...}}``.

    Where groups of parameters have factors of their own, it multiplies the rate with them.
    """
    scheduler = _unscaled_scheduler(optimizer, entry)
    if any("adjust_learning_rate" in group for group in optimizer.param_groups):
        return cstorch.optim.lr_scheduler.ScalePerParamLR(optimizer, scheduler)
    return scheduler


def _unscaled_scheduler(optimizer: cstorch.optim.Optimizer, entry: dict[str, Any]) -> Any:
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
        arguments["schedulers"] = [_unscaled_scheduler(optimizer, part) for part in parts]
        if arguments.get("milestones") is None:
            # As ModelZoo does: each part runs for its own total_iters.
            lengths = [next(iter(part.values()))["total_iters"] for part in parts[:-1]]
            arguments["milestones"] = list(accumulate(lengths))
    return scheduler_class(optimizer, **arguments)
