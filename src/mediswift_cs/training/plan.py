"""When a run ends, evaluates and saves, worked out from the params; steps are optimizer updates."""

from dataclasses import dataclass, replace

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import InitParams


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The step numbers of a run that goes on at ``first_step`` and ends at ``last_step``.

    Attributes:
        counted_from: the step where the run began, from which num_steps and num_epochs count.
    """

    counted_from: int
    first_step: int
    last_step: int
    steps_between_evaluations: int | None
    steps_between_checkpoints: int | None

    def segment_ends(self) -> list[int]:
        """The steps after which training pauses for an evaluation; the last is ``last_step``."""
        every = self.steps_between_evaluations
        pauses = range(every, self.last_step, every) if every else range(0)
        return [end for end in (*pauses, self.last_step) if end > self.first_step]

    def continued_at(self, step: int) -> "RunPlan":
        """The same plan for a run that is at ``step``."""
        return replace(self, first_step=step)

    def is_evaluation_step(self, step: int) -> bool:
        """Whether an evaluation is due after ``step``."""
        every = self.steps_between_evaluations
        return every is not None and step > 0 and (step % every == 0 or step == self.last_step)

    def is_checkpoint_step(self, step: int) -> bool:
        """Whether a checkpoint is due after ``step``."""
        every = self.steps_between_checkpoints
        return every is not None and (step % every == 0 or step == self.last_step)


def plan_run(init: InitParams, *, first_step: int, num_batches: int) -> RunPlan:
    """Work out the plan; ``num_batches`` is the length of an epoch in batches.

    ModelZoo's precedence: num_steps counts from here, max_steps from the very first step, and the
    shortest of max_steps and num_epochs ends the run.
    """
    loop = init.loop
    ends = []
    if loop.num_steps is not None:
        ends.append(first_step + loop.num_steps)
    elif loop.max_steps is not None:
        ends.append(loop.max_steps)
    if loop.num_epochs is not None:
        steps_per_epoch = loop.steps_per_epoch or num_batches // loop.grad_accum_steps
        if steps_per_epoch == 0:
            raise ConfigError(
                f"trainer.init.loop.grad_accum_steps: got {loop.grad_accum_steps}, allowed: at "
                f"most {num_batches}, the batches of an epoch"
            )
        ends.append(first_step + loop.num_epochs * steps_per_epoch)
    if not ends:
        raise ConfigError("trainer.init.loop: got none of num_steps, max_steps and num_epochs")
    last_step = min(ends)
    every = loop.eval_frequency
    if isinstance(every, float):
        every = max(1, int(every * (last_step - first_step))) if every > 0 else None
    return RunPlan(
        counted_from=first_step,
        first_step=first_step,
        last_step=last_step,
        steps_between_evaluations=every or None,
        steps_between_checkpoints=init.checkpoint.steps or None,
    )


def schedule_warning(init: InitParams, plan: RunPlan) -> str | None:
    """What to say of a learning-rate schedule that ends before or after the run.

    That of a run of max_steps was checked; num_epochs are steps once the data is counted. A run of
    num_steps may be the first part of a longer one.
    """
    if not init.schedulers or init.schedulers[-1].cycles:
        return None
    schedule, last = init.schedulers[-1], plan.last_step
    end = schedule.total_iters
    # Without an end, its last part is to be reached.
    least = end or 1 + sum(part.total_iters or 0 for part in schedule.parts[:-1])
    is_short = last < least and init.loop.num_steps is None
    if not is_short and (end is None or last <= end):
        return None
    what = f"its learning-rate schedule at step {end}"
    if end is None:
        what = f"the last part of its learning-rate schedule begins at step {least - 1}"
    return (
        f"the run ends at step {last}, and {what}: trainer.init.loop.max_steps={last} on the "
        f"command line rescales it"
    )


# Stock callbacks and loggers that this loop answers to or has in another form.
UNDERSTOOD = frozenset({"KeepNCheckpoints", "LoadCheckpointStates", "TensorBoardLogger"})
# Those that say nothing outside of ModelZoo and of a CSX: silence is no surprise there.
BUILT_IN = frozenset({"ProgressLogger", "CheckLoss", "ModelZooParamsMetadata"})


# Settings that only ModelZoo's Trainer carries out; by default they ask for nothing.
_NOT_CARRIED_OUT = (
    ("backend", ("artifact_dir",)),
    ("checkpoint", ("disable_strict_checkpoint_loading", "checkpoint_root", "checkpoint_name")),
    ("logging", ("log_level", "wsc_log_level", "enable_act_frequency")),
    ("autorestart", ("max_num_restarts",)),
)


def ignored_settings(init: InitParams) -> list[str]:
    """Callbacks, loggers and settings of the params that only ModelZoo's Trainer carries out."""
    names = [callback.name for callback in (*init.callbacks, *init.loggers)]
    ignored = [name for name in names if name not in UNDERSTOOD | BUILT_IN]
    for section_name, keys in _NOT_CARRIED_OUT:
        section = getattr(init, section_name)
        for key in keys:
            if getattr(section, key) != type(section).model_fields[key].default:
                ignored.append(f"{section_name}.{key}")
    return ignored


def num_checkpoints_kept(init: InitParams) -> int | None:
    """The n of the stock callback KeepNCheckpoints; None keeps all."""
    for callback in init.callbacks:
        if callback.KeepNCheckpoints is not None:
            return callback.KeepNCheckpoints.n
    return None
