"""``trainer.init.sparsity``: which weights are zero, and how that changes while a model trains.

Keys and defaults are those of cerebras.pytorch.sparse 2.10, which ModelZoo's trainer hands them to.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Discriminator, Field, Tag

from mediswift_cs.params.section import (
    Count,
    PositiveCount,
    PositiveReal,
    Rate,
    RateBelowOne,
    Real,
    Section,
    StringList,
)


class ValueScheduleParams(Section):
    """A value that changes with the step (cerebras.pytorch.sparse.utils, HyperParameterSchedule).

    Each type has keys of its own (SCHEDULE_KEYS).
    """

    type: Literal["linear", "exp", "power", "cosine", "cycling"]
    """linear, exp, power and cosine follow the step; cycling takes the next of its values."""
    init: Real | None = None
    """The value at step 0 (all but cycling)."""
    slope: Real | None = None
    """linear: what is added each step."""
    gamma: Real | None = None
    """exp: the rate at which the distance to final changes; below 0 it shrinks."""
    final: Real | None = None
    """exp: the value that is approached; None: 1."""
    beta: Real | None = None
    """power: the factor of each step."""
    half_period: PositiveReal | None = None
    """cosine: steps from init to minimum."""
    minimum: Real | None = None
    """cosine: the lowest value; None: 0."""
    values: Annotated[list[Rate], Field(min_length=1)] | None = None
    """cycling: one value for each update."""

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        kind = data.get("type")
        return {**data, "type": kind.lower()} if isinstance(kind, str) else data

    @property
    def given(self) -> dict[str, Any]:
        """Its keys and their values, without the type."""
        return self.model_dump(exclude_none=True, exclude={"type"})

    def value_at(self, step: int, number: int) -> float:
        """The value after ``step`` steps, the update of this ``number``, counted from 0."""
        if self.type == "cycling":
            assert self.values is not None
            return self.values[number % len(self.values)]
        keys = SCHEDULE_KEYS[self.type].optional | self.given
        return _COMPUTE[self.type](keys, step)


class ScheduleKeys(NamedTuple):
    """The keys of one type of schedule: those that it needs, and the defaults of the others."""

    required: tuple[str, ...]
    optional: dict[str, float]


SCHEDULE_KEYS = {
    "linear": ScheduleKeys(("init", "slope"), {}),
    "exp": ScheduleKeys(("init", "gamma"), {"final": 1.0}),
    "power": ScheduleKeys(("init", "beta"), {}),
    "cosine": ScheduleKeys(("init", "half_period"), {"minimum": 0.0}),
    "cycling": ScheduleKeys(("values",), {}),
}


def _cosine(keys: Mapping[str, float], step: int) -> float:
    middle = (keys["minimum"] + keys["init"]) / 2
    return middle + (keys["init"] - middle) * math.cos(step * math.pi / keys["half_period"])


_COMPUTE: dict[str, Callable[[Mapping[str, float], int], float]] = {
    "linear": lambda keys, step: keys["init"] + step * keys["slope"],
    "exp": lambda keys, step: (
        keys["final"] - (keys["final"] - keys["init"]) * math.exp(step * keys["gamma"])
    ),
    "power": lambda keys, step: keys["init"] * keys["beta"] ** step,
    "cosine": _cosine,
}


class UpdateParams(Section):
    """After which steps the masks change: each freq-th, or those of a list."""

    freq: PositiveCount | None = None
    """Steps between two updates; None: each step."""
    start: Count = 0
    """The step of the first update."""
    stop: Count | None = None
    """The first step without an update; None: updates go on to the end."""
    steps: list[Count] | None = None
    """The steps of the updates, in the place of the other three keys."""

    def until(self, end: int) -> Sequence[int]:
        """The numbers of the updates' steps below ``end``; 0 is the first mask."""
        if self.steps is not None:
            return sorted({step for step in self.steps if step < end})
        return range(self.start, end if self.stop is None else min(end, self.stop), self.freq or 1)


EVERY_STEP = UpdateParams(freq=1)


def _kind_of(value: object) -> str:
    return "schedule" if isinstance(value, dict | ValueScheduleParams) else "number"


_Schedule = Annotated[ValueScheduleParams, Tag("schedule")]


class SparsityParams(Section):
    """``trainer.init.sparsity``: the level, the masks' method and the weights that have one.

    sparsity is the fraction of zeros: 0.75 keeps a quarter of each matrix. The masks of static
    never change; set and rigl move the zeros and keep their number; gmp prunes on the way.
    """

    # Of rigl, for heads that are balanced one by one.
    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = dict.fromkeys(
        ("balance_in_groups", "balance_out_groups"), (None,)
    )

    described: ClassVar[str] = (
        "a mapping or a list of one (MediSwift covers one group of sparse weights)"
    )

    algorithm: Literal["static", "set", "rigl", "gmp"] = "static"
    """static keeps its masks, set and rigl move them, gmp prunes more and more."""
    sparsity: Annotated[Annotated[RateBelowOne, Tag("number")] | _Schedule, Discriminator(_kind_of)]
    """The fraction of zeros in each matrix, or a schedule of it."""
    init_method: Literal["random", "topk", "from_zeros", "checkerboard"] = "random"
    """The first masks: random, of the largest weights, of the weights' zeros, or regular."""
    param_filter: StringList | None = None
    """Glob patterns of parameter names; None is cerebras.pytorch's default filter."""
    update: UpdateParams | None = None
    """When masks change; None: after every step. Static has none."""
    drop_fraction: (
        Annotated[Annotated[Rate, Tag("number")] | _Schedule, Discriminator(_kind_of)] | None
    ) = None
    """The share of the kept weights that set and rigl move at an update; None: 0.3."""

    @classmethod
    def _longhand(cls, data: Any) -> Any:
        """ModelZoo also writes a number, or a list of one mapping."""
        if isinstance(data, list) and len(data) == 1:
            (data,) = data
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        return {"sparsity": data} if is_number else data

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        """ModelZoo also writes `schedule` for `sparsity`, and names in any case."""
        data = dict(data)
        if "schedule" in data and "sparsity" not in data:
            data["sparsity"] = data.pop("schedule")
        if isinstance(data.get("algorithm"), str):
            data["algorithm"] = data["algorithm"].lower()
        return data

    @property
    def is_dynamic(self) -> bool:
        """Whether the masks change while the model trains."""
        return self.algorithm != "static"

    def update_steps(self, num_steps: int) -> Sequence[int]:
        """The steps below ``num_steps`` after which masks change; 0 is the first mask."""
        return (self.update or EVERY_STEP).until(num_steps) if self.is_dynamic else []

    def levels(self, num_steps: int) -> Iterator[tuple[int, float]]:
        """How sparse the model is in each stretch of a run: its number of steps and its level."""
        if not isinstance(self.sparsity, ValueScheduleParams):
            yield num_steps, self.sparsity
            return
        begin, level = 0, 0.0
        for number, step in enumerate(self.update_steps(num_steps)):
            if step > begin:
                yield step - begin, level
            begin, level = step, min(max(self.sparsity.value_at(step, number), 0.0), 1.0)
        yield num_steps - begin, level

    def level_after(self, step: int) -> float:
        """The fraction of zeros in the masks after so many steps."""
        *_, (_, level) = self.levels(step + 1)
        return level
