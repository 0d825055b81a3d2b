"""Schedules that are stretched to another number of steps, or scaled to another peak."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mediswift_cs.params.optimizer import SchedulerParams
from mediswift_cs.params.schema import Params

RATES = ("initial_learning_rate", "end_learning_rate", "learning_rate")


def rescale_schedules(document: Any, before: Params, new: int | None) -> list[str]:
    """Stretch the schedules of `document` from the run's length in `before` to `new` steps.

    Each part of a schedule keeps its share of the run and has at least one step. Where the length
    of the run before follows from its data, it is that of the schedule. Schedules that did not fit
    the run before are left for the checks to report.

    Returns:
        One sentence for each schedule that was changed.
    """
    notes = []
    entries = _own_entries(document)
    for index, scheduler in enumerate(before.trainer.init.schedulers):
        old = before.trainer.init.loop.max_steps or scheduler.total_iters
        if old is None or new is None or new == old or scheduler.is_nested:
            continue
        if changes := _rescale(scheduler, entries[index], old, new):
            notes.append(
                f"trainer.init.schedulers.{index} was rescaled from {old} to {new} steps, "
                f"because max_steps was set on the command line ({', '.join(changes)})"
            )
    return notes


def scale_rates(document: Any, before: Params, peak: float) -> None:
    """Multiply every rate of the schedules of `document`, so that the highest is `peak`.

    Schedules without a highest rate above 0 are left for the checks to report.
    """
    entries = _own_entries(document)
    for index, scheduler in enumerate(before.trainer.init.schedulers):
        old = scheduler.peak_rate
        if not old or scheduler.is_nested:
            continue
        # To 15 digits: those after them are what rounding made of a peak that is computed.
        factor = Decimal(repr(peak)) / Decimal(f"{old:.15g}")
        for part, raw in zip(scheduler.parts, _raw_parts(entries[index], scheduler), strict=True):
            for key in RATES:
                if (rate := getattr(part.arguments, key, None)) is not None:
                    raw[key] = float(Decimal(repr(rate)) * factor)


def rescale_sparsity(document: Any, before: Params, new: int | None) -> list[str]:
    """Stretch the updates of masks in `document` with the run, as :func:`rescale_schedules` does.

    Their number stays where each has a value of its own; the steps of a list are left alone.
    """
    sparsity, old = before.trainer.init.sparsity, before.trainer.init.loop.max_steps
    if sparsity is None or not sparsity.is_dynamic or old is None or new in (None, old):
        return []
    assert new is not None
    raw = document["trainer"]["init"]["sparsity"]
    (raw,) = raw if isinstance(raw, list) else (raw,)
    sections = {key: raw.get(key) for key in ("update", "sparsity", "schedule", "drop_fraction")}
    numbers = {
        # YAML reads 1e3 as text, which the schema takes for a number.
        (key, name): float(value) if isinstance(value, str) else value
        for key, section in sections.items()
        for name, value in (section.items() if isinstance(section, dict) else ())
        if name in _STRETCHED and value is not None
    }
    for (key, name), value in numbers.items():
        raw[key][name] = _STRETCHED[name](value, new / old)
    if getattr(sparsity.sparsity, "values", None) and ("update", "stop") in numbers:
        update, number = raw["update"], len(sparsity.update_steps(old))
        update["stop"] = update.get("start", 0) + update["freq"] * (number - 1) + 1
    changes = [
        f"{key}.{name} {was:g} -> {raw[key][name]:g}" for (key, name), was in numbers.items()
    ]
    return [
        f"trainer.init.sparsity was rescaled from {old} to {new} steps, because max_steps was set "
        f"on the command line ({', '.join(changes)})"
    ] * bool(changes)


# What counts steps in the section, and what counts by the step.
_STRETCHED: dict[str, Callable[[float, float], float]] = {
    "freq": lambda value, ratio: max(1, math.floor(value * ratio)),
    "start": lambda value, ratio: round(value * ratio),
    "stop": lambda value, ratio: max(1, round(value * ratio)),
    "half_period": lambda value, ratio: value * ratio,
    "slope": lambda value, ratio: value / ratio,
    "gamma": lambda value, ratio: value / ratio,
    "beta": lambda value, ratio: value ** (1 / ratio),
}


def _rescale(scheduler: SchedulerParams, entry: dict[str, Any], old: int, new: int) -> list[str]:
    """Change the parts of one schedule; returns what became of each."""
    parts = scheduler.parts
    lengths = [part.total_iters or 0 for part in parts]
    if scheduler.total_iters is None and parts[-1].total_iters is None:
        # A last part without an end goes on until the run ends.
        lengths[-1] = old - sum(lengths)
    if scheduler.cycles and sum(lengths) < old:
        # The cycles after the first one take part, so that their number stays.
        lengths.append(old - sum(lengths))
    if min(lengths) < 1 or sum(lengths) != old or new < len(lengths):
        return []
    changes = []
    raw_parts = _raw_parts(entry, scheduler)
    if scheduler.SequentialLR is not None:
        _arguments(entry).pop("milestones", None)  # they follow from total_iters
    for part, raw, length in zip(parts, raw_parts, shares(lengths, new), strict=False):
        if part.total_iters is not None:
            raw["total_iters"] = length
            changes.append(f"{part.name} {part.total_iters} -> {length}")
        if part.InverseSquareRootDecayLR is not None:
            decay = part.InverseSquareRootDecayLR
            warmup_steps = max(1, min(new - 1, round(decay.warmup_steps * new / old)))
            if warmup_steps == decay.warmup_steps:
                continue
            raw["warmup_steps"] = warmup_steps
            # The peak is initial_learning_rate * scale / sqrt(warmup_steps): it stays.
            raw["scale"] = decay.scale * math.sqrt(warmup_steps / decay.warmup_steps)
            changes.append(f"{part.name} warmup_steps {decay.warmup_steps} -> {warmup_steps}")
    return changes


def shares(lengths: list[int], total: int) -> list[int]:
    """`lengths` in proportion, whole numbers of at least 1 that add up to `total`."""
    assert len(lengths) <= total
    scaled: list[int] = []
    for index, length in enumerate(lengths[:-1]):
        num_after = len(lengths) - index - 1
        most = total - sum(scaled) - num_after
        scaled.append(min(most, max(1, round(length * total / sum(lengths)))))
    return [*scaled, total - sum(scaled)]


def _own_entries(document: Any) -> Any:
    """The schedules of `document`, each part a mapping of its own: an anchor is one for several."""
    init = document["trainer"]["init"]
    init["schedulers"] = _copy(init.get("schedulers"))
    return init["schedulers"]


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node


def _raw_parts(entry: dict[str, Any], scheduler: SchedulerParams) -> list[dict[str, Any]]:
    """The mappings that hold total_iters; names may be written in any case."""
    if scheduler.SequentialLR is None:
        return [_arguments(entry)]
    return [_arguments(part) for part in _arguments(entry)["schedulers"]]


def _arguments(entry: dict[str, Any]) -> dict[str, Any]:
    """The mapping below the name of a class; where it was left out, an empty one is put there."""
    ((name, arguments),) = entry.items()
    if arguments is None:
        entry[name] = arguments = {}
    assert isinstance(arguments, dict)
    return arguments
