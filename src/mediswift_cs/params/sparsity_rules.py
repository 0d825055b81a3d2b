"""What holds between the keys of ``trainer.init.sparsity``, the weights and the run's length."""

from collections.abc import Iterator, Sequence

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.problem import Problem, misfit, spell
from mediswift_cs.params.run_options import Engine
from mediswift_cs.params.schedule_rules import INIT, MAX_STEPS
from mediswift_cs.params.schema import InitParams, Params
from mediswift_cs.params.sparsity import SCHEDULE_KEYS, SparsityParams, ValueScheduleParams
from mediswift_cs.params.weights import matching, weights

PATH = f"{INIT}.sparsity"

_ALLOWED_PATTERN = (
    "a glob that matches projection weights only, such as *proj_[qkv]_dense_layer.weight, "
    "*proj_output_dense_layer.weight or *linear_layer.weight"
)
# Which kinds of values each method takes.
_LEVELS = {
    "static": (float, "a number, as masks of static never change"),
    "set": (float, "a number, as set keeps the number of zeros"),
    "rigl": (float, "a number, as rigl keeps the number of zeros"),
    "gmp": (ValueScheduleParams, "a schedule with a type, as gmp prunes on the way"),
}
# Where another method has a key, the methods that do, and why the rest does not.
_KEYS_OF = {
    "update": (("set", "rigl", "gmp"), "masks of static never change"),
    "drop_fraction": (("set", "rigl"), "only set and rigl move weights"),
}


def check_sparsity(params: Params) -> Iterator[Problem]:
    """The patterns name weights that may be sparse, and the method has the keys that it takes."""
    sparsity = params.trainer.init.sparsity
    if sparsity is None:
        return
    yield from _param_filter(params, sparsity)
    if problems := [*_keys(sparsity), *_schedule_keys(sparsity), *_update_keys(sparsity)]:
        yield from problems
    elif sparsity.is_dynamic:
        loop = params.trainer.init.loop
        # num_steps are those of this run, which may go on from any step.
        num_steps = None if loop.num_steps else loop.max_steps
        yield from _first_mask(sparsity)
        yield from _over_the_run(sparsity, num_steps)


def check_method(init: InitParams, engine: Engine) -> None:
    """See that the engine can train with the masks that the params ask for.

    Raises:
        ConfigError: they change while the model trains, which the engine torch does not do.
    """
    sparsity = init.sparsity
    if engine == "torch" and sparsity is not None and sparsity.is_dynamic:
        raise ConfigError(
            f"{PATH}.algorithm: got {sparsity.algorithm}, allowed: static with --engine torch; "
            f"--engine cerebras (CPU, CSX) and --engine modelzoo train with it"
        )


def _param_filter(params: Params, sparsity: SparsityParams) -> Iterator[Problem]:
    """Each pattern must match weights, and only weights that may be sparse."""
    if sparsity.param_filter is None:
        return
    known = list(weights(params.trainer.init.model))
    path = f"{PATH}.param_filter"
    if not sparsity.param_filter:
        yield Problem(path=path, got="[]", allowed=_ALLOWED_PATTERN)
    for index, pattern in enumerate(sparsity.param_filter):
        matched = matching(pattern, known)
        dense = [weight for weight in matched if weight.kind != "projection"]
        hint = "it matches no parameter of the model, so nothing would be sparse"
        if dense:
            hint = f"it also matches the {dense[0].kind} {dense[0].name}"
        if dense or not matched:
            got = spell(pattern)
            yield Problem(path=f"{path}.{index}", got=got, allowed=_ALLOWED_PATTERN, hint=hint)


def _keys(sparsity: SparsityParams) -> Iterator[Problem]:
    """The method takes these keys, and values of these kinds."""
    method = sparsity.algorithm
    kind, allowed = _LEVELS[method]
    if not isinstance(sparsity.sparsity, kind):
        got = _spell(sparsity.sparsity)
        yield Problem(
            path=f"{PATH}.sparsity", got=got, allowed=allowed, reads=(f"{PATH}.algorithm",)
        )
    for key, (methods, why) in _KEYS_OF.items():
        if (value := getattr(sparsity, key)) is not None and method not in methods:
            yield Problem(
                path=f"{PATH}.{key}",
                got=_spell(value),
                allowed=f"nothing with the algorithm {method}, as {why}",
                reads=(f"{PATH}.algorithm",),
            )


def _schedule_keys(sparsity: SparsityParams) -> Iterator[Problem]:
    """Each type of schedule has the keys that it needs, and no other."""
    for name in ("sparsity", "drop_fraction"):
        schedule = getattr(sparsity, name)
        if not isinstance(schedule, ValueScheduleParams):
            continue
        path, keys = f"{PATH}.{name}", SCHEDULE_KEYS[schedule.type]
        reads = (f"{path}.type",)
        if name == "drop_fraction" and schedule.type == "cycling":
            # cerebras-pytorch 2.10 does not save where it stands.
            allowed = "linear, exp, power or cosine, which a run that goes on knows by the step"
            yield Problem(path=f"{path}.type", got="cycling", allowed=allowed)
        for key in keys.required:
            if key not in schedule.given:
                allowed = f"a value, which the type {schedule.type} needs"
                yield Problem(path=f"{path}.{key}", got="nothing", allowed=allowed, reads=reads)
        for key in schedule.given:
            if key not in (*keys.required, *keys.optional):
                known = ", ".join((*keys.required, *keys.optional))
                allowed = f"nothing with the type {schedule.type}, which has {known}"
                yield misfit(f"{path}.{key}", schedule, allowed, *reads)


def _update_keys(sparsity: SparsityParams) -> Iterator[Problem]:
    """Updates come each freq-th step between two, or at the steps of a list."""
    update, path = sparsity.update, f"{PATH}.update"
    if update is None:
        return
    given = update.model_fields_set
    if (update.freq is None) == (update.steps is None):
        got = "both freq and steps" if update.freq is not None else "neither freq nor steps"
        yield Problem(path=path, got=got, allowed="one of them")
    elif update.steps is not None and given & {"start", "stop"}:
        key = next(key for key in ("start", "stop") if key in given)
        yield misfit(f"{path}.{key}", update, "nothing beside steps", f"{path}.steps")
    elif update.stop is not None and update.stop <= update.start:
        yield misfit(f"{path}.stop", update, f"more than start {update.start}", f"{path}.start")


def _first_mask(sparsity: SparsityParams) -> Iterator[Problem]:
    """cerebras-pytorch draws the first masks where step 0 is one of updates; else all is kept."""
    if sparsity.algorithm == "gmp" or 0 in sparsity.update_steps(1):
        return
    assert sparsity.update is not None
    steps = sparsity.update.steps
    key, first = ("start", 0) if steps is None else ("steps", [0, *steps])
    allowed = f"{first}, as the model would be dense until the first update"
    yield misfit(f"{PATH}.update.{key}", sparsity.update, allowed)


def _over_the_run(sparsity: SparsityParams, num_steps: int | None) -> Iterator[Problem]:
    """Masks change within the run, and values are fractions from its begin to its end."""
    stop = sparsity.update.stop if sparsity.update is not None else None
    listed = sparsity.update.steps if sparsity.update is not None else None
    end = num_steps or stop or (max(listed, default=0) + 1 if listed is not None else None)
    if end is None:
        if sparsity.algorithm == "gmp":
            allowed = "a stop, or max_steps, as gmp prunes to an end"
            got = "nothing"
            yield Problem(path=f"{PATH}.update.stop", got=got, allowed=allowed, reads=(MAX_STEPS,))
        return
    steps = sparsity.update_steps(end)
    if len(steps) == 0 or steps[-1] == 0:
        yield Problem(
            path=f"{PATH}.update",
            got="no update after the first step" if num_steps is None else f"none in {end} steps",
            allowed=f"at least one update, or the algorithm static ({MAX_STEPS} is the run's end)",
            reads=(MAX_STEPS,),
        )
        return
    for key, limit in (("sparsity", "less than 1"), ("drop_fraction", "at most 1")):
        schedule = getattr(sparsity, key)
        if not isinstance(schedule, ValueScheduleParams):
            continue
        found = _extremes(schedule, steps)
        most = max(found)
        if min(found) < 0 or most > 1 or (most == 1 and key == "sparsity"):
            yield Problem(
                path=f"{PATH}.{key}",
                got=f"values from {min(found):.4g} to {most:.4g} in {end} steps",
                allowed=f"at least 0 and {limit} at each update",
                reads=(MAX_STEPS, f"{PATH}.update"),
            )
        elif key == "sparsity":
            yield from _ramp(schedule, steps)


def _ramp(schedule: ValueScheduleParams, steps: Sequence[int]) -> Iterator[Problem]:
    """What gmp prunes to: values that rise, and as many in a list as there are updates."""
    reads = (MAX_STEPS, f"{PATH}.update")
    if schedule.values is not None and len(schedule.values) != len(steps):
        yield Problem(
            path=f"{PATH}.sparsity.values",
            got=f"{len(schedule.values)} values",
            allowed=f"{len(steps)}, one for each update of the run, that of step 0 included",
            reads=reads,
        )
    elif schedule.value_at(steps[-1], len(steps) - 1) <= schedule.value_at(steps[0], 0):
        last = schedule.value_at(steps[-1], len(steps) - 1)
        yield Problem(
            path=f"{PATH}.sparsity",
            got=f"{last:.4g} at the last update, step {steps[-1]}",
            allowed="more zeros than at the first one, as gmp prunes on the way",
            reads=reads,
        )


def _extremes(schedule: ValueScheduleParams, steps: Sequence[int]) -> list[float]:
    """Values among which are the least and the greatest at these steps."""
    if schedule.type == "cycling":
        return schedule.values or []
    if schedule.type == "cosine" and schedule.init is not None:
        return [schedule.init, schedule.minimum or 0.0]
    return [schedule.value_at(steps[0], 0), schedule.value_at(steps[-1], len(steps) - 1)]


def _spell(value: object) -> str:
    """A section as its keys, another value as YAML would show it."""
    return spell(value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value)
