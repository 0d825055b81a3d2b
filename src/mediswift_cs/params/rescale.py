"""A shorter or longer run from the command line takes its schedules along."""

from typing import Any

from mediswift_cs.params.schema import Params, SchedulerParams


def rescale_schedules(document: Any, before: Params) -> list[str]:
    """Stretch the schedules from the run's length in `before` to the one in `document`.

    Each part of a schedule keeps its share of the run and has at least one step. Schedules that
    did not fit the run before are left for the checks to report.

    Returns:
        One sentence for each schedule that was changed.
    """
    old = before.trainer.init.loop.max_steps
    new = document["trainer"]["init"]["loop"]["max_steps"]
    if old is None or new == old or not isinstance(new, int) or isinstance(new, bool):
        return []
    notes = []
    for index, scheduler in enumerate(before.trainer.init.schedulers):
        parts = _parts(scheduler)
        if scheduler.total_iters != old or new < len(parts):
            continue
        lengths = shares([part.total_iters or 0 for part in parts], new)
        entry = document["trainer"]["init"]["schedulers"][index]
        for raw, length in zip(_raw_parts(entry, scheduler), lengths, strict=True):
            raw["total_iters"] = length
        changes = ", ".join(
            f"{part.name} {part.total_iters} -> {length}"
            for part, length in zip(parts, lengths, strict=True)
        )
        notes.append(
            f"trainer.init.schedulers.{index} was rescaled from {old} to {new} steps, "
            f"because max_steps was set on the command line ({changes})"
        )
    return notes


def shares(lengths: list[int], total: int) -> list[int]:
    """`lengths` in proportion, whole numbers of at least 1 that add up to `total`."""
    assert len(lengths) <= total
    scaled: list[int] = []
    for index, length in enumerate(lengths[:-1]):
        num_after = len(lengths) - index - 1
        most = total - sum(scaled) - num_after
        scaled.append(min(most, max(1, round(length * total / sum(lengths)))))
    return [*scaled, total - sum(scaled)]


def _parts(scheduler: SchedulerParams) -> list[SchedulerParams]:
    return [scheduler] if scheduler.SequentialLR is None else scheduler.SequentialLR.schedulers


def _raw_parts(entry: dict[str, Any], scheduler: SchedulerParams) -> list[dict[str, Any]]:
    """The mappings that hold total_iters; names may be written in any case."""
    (arguments,) = entry.values()
    if scheduler.SequentialLR is None:
        return [arguments]
    arguments.pop("milestones", None)  # they follow from total_iters
    return [next(iter(part.values())) for part in arguments["schedulers"]]
