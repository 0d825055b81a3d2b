"""Learning rates in closed form, those of cerebras.pytorch.optim.lr_scheduler 2.10."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch

from mediswift_cs.params.optimizer import SchedulerParams, SequentialLRParams


def learning_rate(entry: SchedulerParams, step: int) -> float:
    """The learning rate of the update that comes after ``step`` others."""
    if (sequence := entry.SequentialLR) is not None:
        begins = [0, *milestones(sequence)]
        current = sum(begin <= step for begin in begins[1:])
        return learning_rate(sequence.schedulers[current], step - begins[current])
    if (constant := entry.ConstantLR) is not None:
        return constant.learning_rate
    if (root := entry.InverseSquareRootDecayLR) is not None:
        return root.initial_learning_rate * root.scale / math.sqrt(max(step, root.warmup_steps))
    decay = entry.CosineDecayLR or entry.LinearLR or entry.PolynomialLR
    assert decay is not None, "the schema knows no other"
    done = min(step / decay.total_iters, 1.0)
    if entry.CosineDecayLR is not None:
        left = (1.0 + math.cos(math.pi * done)) / 2.0
    else:
        power = entry.PolynomialLR.power if entry.PolynomialLR is not None else 1.0
        # At the end it is 0 for every power, 0 and negative ones included.
        left = (1.0 - done) ** power if done < 1.0 else 0.0
    return decay.end_learning_rate + left * (decay.initial_learning_rate - decay.end_learning_rate)


def milestones(sequence: SequentialLRParams) -> list[int]:
    """The steps at which the next schedule begins; by default each has its own total_iters."""
    if sequence.milestones is not None:
        return sequence.milestones
    lengths = [part.total_iters for part in sequence.schedulers[:-1]]
    return list(accumulate(length for length in lengths if length is not None))


def schedule_state(
    entry: SchedulerParams, step: int, rate: float, scales: Sequence[float | None]
) -> dict[str, Any]:
    """The position of a schedule in the form of cerebras-pytorch's; settings are the params'.

    Args:
        rate: of the next update.
        scales: what each group of parameters multiplies it with; None where no group does. With
            factors the state is that of a ScalePerParamLR around the schedule.
    """
    state: dict[str, Any] = {
        "_last_value": [torch.tensor(rate * (scale or 1.0)) for scale in scales],
        "last_epoch": torch.tensor(step),
        "_step_count": step + 1,
    }
    if any(scales):
        inner = schedule_state(entry, step, rate, [None] * len(scales))
        return {**state, "lr_adjustment_scalars": list(scales), "_scheduler": inner}
    if (sequence := entry.SequentialLR) is not None:
        begins = [0, *milestones(sequence)]
        state["_schedulers"] = [
            schedule_state(part, max(0, step - begin), rate, scales)
            for part, begin in zip(sequence.schedulers, begins, strict=True)
        ]
    return state
