"""What holds between the parts of a learning-rate schedule and the length of the run."""

from collections.abc import Iterator

from mediswift_cs.params.optimizer import SchedulerParams
from mediswift_cs.params.problem import Problem, spell
from mediswift_cs.params.schema import Params

INIT = "trainer.init"
MAX_STEPS = f"{INIT}.loop.max_steps"


def check_schedules(params: Params) -> Iterator[Problem]:
    """The learning rate has a source, and each schedule goes with the length of the run."""
    init = params.trainer.init
    optimizer = init.optimizer
    if not init.schedulers and optimizer is not None and optimizer.AdamW.learning_rate is None:
        yield Problem(
            path=f"{INIT}.schedulers",
            got="nothing",
            allowed="a schedule, or a learning_rate in trainer.init.optimizer.AdamW",
            reads=(f"{INIT}.optimizer",),
        )
    for index, scheduler in enumerate(init.schedulers):
        path = f"{INIT}.schedulers.{index}"
        if nested := list(_nested(path, scheduler)):
            yield from nested
            continue
        yield from _milestones(path, scheduler)
        if init.loop.max_steps is not None:
            too_long = list(_warm_up(path, scheduler, init.loop.max_steps))
            yield from too_long or _schedule_length(path, scheduler, init.loop.max_steps)


def _nested(path: str, scheduler: SchedulerParams) -> Iterator[Problem]:
    parts = [] if scheduler.SequentialLR is None else scheduler.SequentialLR.schedulers
    for index, part in enumerate(parts):
        if part.SequentialLR is not None:
            yield Problem(
                path=f"{path}.SequentialLR.schedulers.{index}",
                got="a SequentialLR",
                allowed="a schedule of one part; write the inner parts in its place",
            )


def _milestones(path: str, scheduler: SchedulerParams) -> Iterator[Problem]:
    sequence = scheduler.SequentialLR
    if sequence is None:
        return
    *parts, _ = sequence.schedulers
    ends, end = [], 0
    for index, part in enumerate(parts):
        if part.total_iters is None:
            yield Problem(
                path=f"{path}.SequentialLR.schedulers.{index}.{part.name}",
                got="no total_iters",
                allowed="a part with an end, as another one follows",
            )
            return
        end += part.total_iters
        ends.append(end)
    if sequence.milestones is not None and sequence.milestones != ends:
        yield Problem(
            path=f"{path}.SequentialLR.milestones",
            got=spell(sequence.milestones),
            allowed=f"{ends}, the sums of total_iters, or nothing",
            reads=(f"{path}.SequentialLR.schedulers",),
        )


def _warm_up(path: str, scheduler: SchedulerParams, max_steps: int) -> Iterator[Problem]:
    """A first part that ends when the run ends, or later."""
    steps: int | None = None
    if scheduler.SequentialLR is not None and len(scheduler.SequentialLR.schedulers) > 1:
        first = scheduler.SequentialLR.schedulers[0]
        path = f"{path}.SequentialLR.schedulers.0.{first.name}.total_iters"
        steps = first.total_iters
    elif scheduler.InverseSquareRootDecayLR is not None:
        path = f"{path}.InverseSquareRootDecayLR.warmup_steps"
        steps = scheduler.InverseSquareRootDecayLR.warmup_steps
    if steps is not None and steps >= max_steps:
        yield Problem(
            path=path,
            got=f"a warm-up of {steps} steps",
            allowed=f"fewer than the {max_steps} steps of {MAX_STEPS}",
            reads=(MAX_STEPS,),
        )


def _schedule_length(path: str, scheduler: SchedulerParams, max_steps: int) -> Iterator[Problem]:
    total = scheduler.total_iters
    if total is None or total == max_steps or (scheduler.cycles and total < max_steps):
        return
    hint = ""
    if scheduler.SequentialLR is not None:
        parts = scheduler.SequentialLR.schedulers
        last = parts[-1]
        key = f"{path}.SequentialLR.schedulers.{len(parts) - 1}.{last.name}.total_iters"
        wanted = max_steps - total + (last.total_iters or 0)
        if wanted > 0:
            hint = f"for example --set {key}={wanted}"
    yield Problem(
        path=f"{path}.{scheduler.name}",
        got=f"{total} steps in all",
        allowed=f"{max_steps}, the value of {MAX_STEPS}",
        hint=hint,
        reads=(MAX_STEPS,),
    )
