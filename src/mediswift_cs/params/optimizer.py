"""``trainer.init.optimizer`` and ``trainer.init.schedulers``.

Names and defaults are those of cerebras.pytorch.optim 2.10 (AdamBase.py, lr_scheduler.py).
"""

from typing import Any

from pydantic import Field, model_validator

from mediswift_cs.params.section import (
    Count,
    Flag,
    NonNegativeReal,
    OneNamed,
    PositiveCount,
    PositiveReal,
    Rate,
    Real,
    Section,
)


class AdamWParams(Section):
    """AdamW with decoupled weight decay."""

    learning_rate: NonNegativeReal | None = None
    """None: the schedulers set it."""
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: PositiveReal = 1.0e-6
    weight_decay: NonNegativeReal = 0.0
    """Of weights and embeddings; both hosts leave biases and layer norms alone."""
    correct_bias: Flag = True
    amsgrad: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _lr_is_learning_rate(cls, data: Any) -> Any:
        # ModelZoo reads both names.
        if isinstance(data, dict) and "lr" in data and "learning_rate" not in data:
            data = {("learning_rate" if key == "lr" else key): data[key] for key in data}
        return data


class OptimizerParams(OneNamed):
    """One optimizer, by name."""

    AdamW: AdamWParams


class ConstantLRParams(Section):
    """The same learning rate at each step."""

    learning_rate: NonNegativeReal
    total_iters: PositiveCount | None = None


class LinearLRParams(Section):
    """From initial_learning_rate to end_learning_rate in total_iters steps."""

    initial_learning_rate: NonNegativeReal
    end_learning_rate: NonNegativeReal
    total_iters: PositiveCount
    cycle: Flag = False


class PolynomialLRParams(LinearLRParams):
    """As LinearLR, with a power."""

    power: Real = 1.0


class CosineDecayLRParams(Section):
    """Half a cosine from initial_learning_rate to end_learning_rate in total_iters steps."""

    initial_learning_rate: NonNegativeReal
    end_learning_rate: NonNegativeReal
    total_iters: PositiveCount


class InverseSquareRootDecayLRParams(Section):
    """initial_learning_rate * scale / sqrt(max(step, warmup_steps)), without an end."""

    initial_learning_rate: NonNegativeReal = 1.0
    scale: NonNegativeReal = 1.0
    warmup_steps: PositiveCount = 1


class SequentialLRParams(Section):
    """Schedulers one after the other; milestones follow from their total_iters."""

    schedulers: list["SchedulerParams"] = Field(min_length=1)
    milestones: list[Count] | None = None
    last_epoch: int = -1


class SchedulerParams(OneNamed):
    """One learning-rate scheduler, by name."""

    LinearLR: LinearLRParams | None = None
    CosineDecayLR: CosineDecayLRParams | None = None
    ConstantLR: ConstantLRParams | None = None
    PolynomialLR: PolynomialLRParams | None = None
    InverseSquareRootDecayLR: InverseSquareRootDecayLRParams | None = None
    SequentialLR: SequentialLRParams | None = None

    @property
    def total_iters(self) -> int | None:
        """Steps until the schedule ends; None where it has no end."""
        if self.SequentialLR is None:
            return getattr(self.arguments, "total_iters", None)
        parts = [part.total_iters for part in self.SequentialLR.schedulers]
        if any(part is None for part in parts):
            return None
        return sum(part for part in parts if part is not None)


# It names SchedulerParams, which did not exist before.
SequentialLRParams.model_rebuild()
