"""``trainer.init.optimizer`` and ``trainer.init.schedulers``.

Names and defaults are those of cerebras.pytorch.optim 2.10 (AdamBase.py, lr_scheduler.py).
"""

import math
from typing import Any

from pydantic import Field

from mediswift_cs.params.section import (
    Count,
    Flag,
    NonNegativeReal,
    OneNamed,
    PositiveCount,
    PositiveReal,
    RateBelowOne,
    Real,
    Section,
)


class AdjustLearningRateParams(Section):
    """What the scheduled rate is multiplied with for some weights; others have 1.

    The groups are those of ModelZoo's GPT2LMHeadModelConfig 2.10; decoder_kernel has the weights of
    the other three of the decoder.
    """

    embedding: PositiveReal = 1.0
    """Factor of the word and position embeddings."""
    decoder_kernel: PositiveReal = 1.0
    """Factor of all projections of the decoder."""
    decoder_attention: PositiveReal = 1.0
    """Factor of the attention's projections."""
    decoder_input_ffn: PositiveReal = 1.0
    """Factor of the first feed-forward matrix."""
    decoder_output_ffn: PositiveReal = 1.0
    """Factor of the second feed-forward matrix."""

    @property
    def factors(self) -> dict[str, float]:
        """The groups whose factor is not 1."""
        return {name: factor for name, factor in self if factor != 1.0}


class AdamWParams(Section):
    """AdamW with decoupled weight decay."""

    learning_rate: NonNegativeReal | None = None
    """The rate of each step; None: the schedulers set it."""
    betas: tuple[RateBelowOne, RateBelowOne] = (0.9, 0.999)
    """How slowly the two moving means of the gradient and of its square forget."""
    eps: PositiveReal = 1.0e-6
    """What is added to the root of the second moment, before dividing."""
    weight_decay: NonNegativeReal = 0.0
    """Decay of weights and embeddings; biases and layer norms have none."""
    correct_bias: Flag = True
    """Whether the moments are corrected for their start at zero."""
    amsgrad: Flag = False
    """Whether the largest second moment so far is used."""
    adjust_learning_rate: AdjustLearningRateParams = AdjustLearningRateParams()
    """Factors of the learning rate for groups of weights."""

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        # ModelZoo reads both names.
        if "lr" in data and "learning_rate" not in data:
            data = {("learning_rate" if key == "lr" else key): data[key] for key in data}
        return data


class OptimizerParams(OneNamed):
    """One optimizer, by name."""

    AdamW: AdamWParams
    """AdamW, the one optimizer that is covered."""


class ConstantLRParams(Section):
    """The same learning rate at each step."""

    learning_rate: NonNegativeReal
    """The rate."""
    total_iters: PositiveCount | None = None
    """Number of steps; None: without an end."""


class CosineDecayLRParams(Section):
    """Half a cosine from initial_learning_rate to end_learning_rate in total_iters steps."""

    initial_learning_rate: NonNegativeReal
    """The rate at the first step."""
    end_learning_rate: NonNegativeReal
    """The rate at the end, and after it."""
    total_iters: PositiveCount
    """Number of steps from the first rate to the last."""


class LinearLRParams(CosineDecayLRParams):
    """A line between the same two rates."""

    cycle: Flag = False
    """Whether the schedule begins anew at its end."""


class PolynomialLRParams(LinearLRParams):
    """As LinearLR, with a power."""

    power: Real = 1.0
    """Exponent of the decay; 1 is a line."""


class InverseSquareRootDecayLRParams(Section):
    """initial_learning_rate * scale / sqrt(max(step, warmup_steps)), without an end."""

    initial_learning_rate: NonNegativeReal = 1.0
    """The rate, before scale and root."""
    scale: NonNegativeReal = 1.0
    """A factor of the rate."""
    warmup_steps: PositiveCount = 1
    """Until this step the rate is constant."""


class SequentialLRParams(Section):
    """Schedulers one after the other; milestones follow from their total_iters."""

    schedulers: list["SchedulerParams"] = Field(min_length=1)
    """The schedules, in their order."""
    milestones: list[Count] | None = None
    """Steps at which the next one takes over; None: where the one before ends."""
    last_epoch: int = -1
    """Of torch's schedulers; -1 starts at the first step."""


class SchedulerParams(OneNamed):
    """One learning-rate scheduler, by name."""

    LinearLR: LinearLRParams | None = None
    """A line between two rates."""
    CosineDecayLR: CosineDecayLRParams | None = None
    """Half a cosine between two rates."""
    ConstantLR: ConstantLRParams | None = None
    """One rate."""
    PolynomialLR: PolynomialLRParams | None = None
    """A power of the steps that are left, between two rates."""
    InverseSquareRootDecayLR: InverseSquareRootDecayLRParams | None = None
    """A rate that falls with the root of the step."""
    SequentialLR: SequentialLRParams | None = None
    """Several schedules, one after the other."""

    @property
    def parts(self) -> list["SchedulerParams"]:
        """The schedulers that follow one another: those of SequentialLR, else this one alone."""
        return [self] if self.SequentialLR is None else self.SequentialLR.schedulers

    @property
    def is_nested(self) -> bool:
        """Whether a part has parts itself, which the checks refuse."""
        return any(part.SequentialLR is not None for part in self.parts)

    @property
    def rates(self) -> tuple[float, float] | None:
        """The first and the last rate; of an InverseSquareRootDecayLR, which has no end, the first.

        None where the rates between are not between these two.
        """
        if self.SequentialLR is not None:
            first, last = self.parts[0].rates, self.parts[-1].rates
            return None if first is None or last is None else (first[0], last[1])
        if self.ConstantLR is not None:
            return self.ConstantLR.learning_rate, self.ConstantLR.learning_rate
        if (root := self.InverseSquareRootDecayLR) is not None:
            rate = root.initial_learning_rate * root.scale / math.sqrt(root.warmup_steps)
            return rate, rate
        decay = self.LinearLR or self.CosineDecayLR or self.PolynomialLR
        assert decay is not None, "the schema knows no other"
        if self.PolynomialLR is not None and self.PolynomialLR.power < 0:
            return None
        return decay.initial_learning_rate, decay.end_learning_rate

    @property
    def peak_rate(self) -> float | None:
        """The highest rate; None where it is not one of those that are written down."""
        rates = [part.rates for part in self.parts]
        return None if None in rates else max(max(pair) for pair in rates if pair is not None)

    @property
    def total_iters(self) -> int | None:
        """Steps until the schedule ends; None where it has no end."""
        if self.SequentialLR is None:
            return getattr(self.arguments, "total_iters", None)
        ends = [part.total_iters for part in self.parts if part.total_iters is not None]
        return sum(ends) if len(ends) == len(self.parts) else None

    @property
    def cycles(self) -> bool:
        """Whether the last part is asked to begin anew at its end, while the run lasts."""
        return bool(getattr(self.parts[-1].arguments, "cycle", False))


# It names SchedulerParams, which did not exist before.
SequentialLRParams.model_rebuild()
