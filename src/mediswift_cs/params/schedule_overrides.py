"""Overrides of a rate or of the run's length take schedules and masks along, or are refused."""

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from mediswift_cs.params.optimizer import SchedulerParams
from mediswift_cs.params.overrides import apply_override
from mediswift_cs.params.problem import Path, Problem, dotted
from mediswift_cs.params.rescale import RATES, rescale_schedules, rescale_sparsity, scale_rates
from mediswift_cs.params.schema import Params
from mediswift_cs.params.shape import check_shape

Overrides = Sequence[tuple[Path, Any]]

MAX_STEPS = ("trainer", "init", "loop", "max_steps")
NUM_EPOCHS = ("trainer", "init", "loop", "num_epochs")
SCHEDULERS = ("trainer", "init", "schedulers")
SPARSITY = ("trainer", "init", "sparsity")
LEARNING_RATE = ("trainer", "init", "optimizer", "AdamW", "learning_rate")


def apply_overrides(document: Any, overrides: Overrides) -> tuple[Any, list[str], list[Problem]]:
    """Apply overrides to a document, and keep its schedules consistent with them.

    The optimizer's learning_rate becomes the peak of the schedules, and every rate keeps its ratio
    to the peak; another max_steps stretches them. Within the schedules, a rate that is overridden
    itself is as given; where a length or a whole mapping or list is, lengths are as given. Updates
    of masks are stretched with max_steps too, unless their section is overridden.

    Returns:
        The document with the overrides in it, one sentence for each schedule that was changed, and
        the overrides that contradict one another.
    """
    changed = _with(document, overrides)
    shape, after = check_shape(document), check_shape(changed).params
    before = shape.params
    if before is None or shape.problems or after is None:
        return changed, [], []
    notes: list[str] = []
    peak = _asked_peak(overrides, after)
    if peak is not None:
        scaled = copy.deepcopy(document)
        scale_rates(scaled, before, peak)
        changed = _with(scaled, overrides)
        ((_, optimizer),) = changed["trainer"]["init"]["optimizer"].items()
        for name in ("learning_rate", "lr"):
            optimizer.pop(name, None)  # the schedules have it
    within = [(path, value) for path, value in overrides if _touches(path, SCHEDULERS)]
    length = after.trainer.init.loop.max_steps
    if length != before.trainer.init.loop.max_steps:
        if all(path[-1] in RATES and _is_plain(value) for path, value in within):
            notes += rescale_schedules(changed, before, length)
        if not any(_touches(path, SPARSITY) for path, _ in overrides):
            notes += rescale_sparsity(changed, before, length)
    final = check_shape(changed)
    if final.params is None or final.problems:
        return changed, notes, []
    if peak is not None:
        notes = [*_scaled(before, final.params), *notes]
    problems = list(_other_peaks(final.params, peak))
    if all(_is_plain(value) for _, value in within):
        problems += _jumps(before, final.params)
        problems += _unknown_length(overrides, before, final.params)
    return changed, notes, problems


def _with(document: Any, overrides: Overrides) -> Any:
    changed = copy.deepcopy(document)
    for path, value in overrides:
        apply_override(changed, path, copy.deepcopy(value))
    return changed


def _covers(path: Path, key: Path) -> bool:
    """Whether an override at `path` says the value of `key`."""
    return key[: len(path)] == path


def _touches(path: Path, section: Path) -> bool:
    """Whether an override at `path` is in, at or above a section."""
    return _covers(path, section) or _covers(section, path)


def _is_plain(value: Any) -> bool:
    """Whether a value is no mapping or list, which say exactly what is to be there."""
    return value is not None and not isinstance(value, dict | list)


def _asked_peak(overrides: Overrides, after: Params) -> float | None:
    """The optimizer's rate where it is overridden and schedules would set it."""
    is_asked = any(
        _covers(path, LEARNING_RATE) and not _covers(path, SCHEDULERS) for path, _ in overrides
    )
    init = after.trainer.init
    if not is_asked or init.optimizer is None or not init.schedulers:
        return None
    return init.optimizer.AdamW.learning_rate


def _scaled(before: Params, final: Params) -> Iterator[str]:
    """What became of the rates of each schedule."""
    pairs = zip(before.trainer.init.schedulers, final.trainer.init.schedulers, strict=False)
    for index, (was, now) in enumerate(pairs):
        if was.rates is None or now.rates is None or was.peak_rate == now.peak_rate:
            continue
        told = f"peak {was.peak_rate:g} -> {now.peak_rate:g}"
        if was.parts[-1].InverseSquareRootDecayLR is None and was.rates[1] != was.peak_rate:
            told += f", end {was.rates[1]:g} -> {now.rates[1]:g}"
        yield (
            f"learning rate: {told} ({dotted((*SCHEDULERS, index))} was scaled, because the "
            f"optimizer's learning_rate was set on the command line)"
        )


def _other_peaks(final: Params, peak: float | None) -> Iterator[Problem]:
    """Schedules that could not be given the peak that was asked for."""
    for index, scheduler in enumerate(final.trainer.init.schedulers):
        found = scheduler.peak_rate
        is_right = found is not None and math.isclose(found, peak or 0.0, rel_tol=1e-9)
        if peak is None or is_right or scheduler.is_nested:
            continue
        where = dotted((*SCHEDULERS, index))
        allowed = f"nothing, as {where} has no highest rate (a PolynomialLR of a negative power)"
        if found is not None:
            allowed = f"{found:g}, the highest rate of {where} with the other overrides, or nothing"
        yield Problem(
            path=dotted(LEARNING_RATE),
            got=f"{peak:g}",
            allowed=allowed,
            hint=f"{dotted(SCHEDULERS)}=[...] says whole schedules",
            reads=(where,),
        )


def _jumps(before: Params, final: Params) -> Iterator[Problem]:
    """Parts that met at one rate in the file and do not with the overrides."""
    pairs = zip(before.trainer.init.schedulers, final.trainer.init.schedulers, strict=True)
    for index, (was, now) in enumerate(pairs):
        for number, (left, right) in enumerate(_gaps(now)):
            if _meet(*_gaps(was)[number]) and not _meet(left, right):
                yield Problem(
                    path=dotted((*SCHEDULERS, index, "SequentialLR", "schedulers", number + 1)),
                    got=f"a first rate of {right:g}",
                    allowed=f"{left:g}, the last rate of part {number}, as the file has no jump",
                    hint=f"{dotted(LEARNING_RATE)} scales all parts, and max_steps stretches them",
                )


def _gaps(scheduler: SchedulerParams) -> list[tuple[float, float]]:
    """The last rate of each part and the first of the next one, where they are known."""
    rates = [part.rates or (math.nan, math.nan) for part in scheduler.parts]
    return [(left[1], right[0]) for left, right in pairwise(rates)]


def _meet(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-6)


def _unknown_length(overrides: Overrides, before: Params, final: Params) -> Iterator[Problem]:
    """Another number of epochs: how many steps that is follows from the data alone."""
    was, now = before.trainer.init.loop, final.trainer.init.loop
    is_same = (now.num_epochs, now.steps_per_epoch) == (was.num_epochs, was.steps_per_epoch)
    is_told = now.max_steps is not None and any(_covers(path, MAX_STEPS) for path, _ in overrides)
    if now.num_epochs is None or is_same or is_told:
        return
    for index, scheduler in enumerate(final.trainer.init.schedulers):
        if scheduler.total_iters is not None and not scheduler.cycles:
            yield Problem(
                path=dotted(NUM_EPOCHS),
                got=str(now.num_epochs),
                allowed=f"max_steps, with which {dotted((*SCHEDULERS, index))} of "
                f"{scheduler.total_iters} steps is rescaled: an epoch is as long as the data",
            )
