"""Learning-rate schedules by their ModelZoo names."""

from itertools import accumulate
from typing import Any

import cerebras.pytorch as cstorch

from mediswift_cs.errors import ConfigError


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
