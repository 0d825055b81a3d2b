"""What a run would do: where it starts, its steps, data, FLOPs, memory and files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.record import global_step
from mediswift_cs.params.budget import checkpoint_bytes, state_bytes
from mediswift_cs.params.data_contents import read_contents
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.run_options import RunOptions, trains
from mediswift_cs.params.schema import Params
from mediswift_cs.params.training_cost import (
    sequence_length,
    sparse_groups,
    tokens_per_step,
    training_flops,
)
from mediswift_cs.params.weights import num_parameters
from mediswift_cs.training import origin
from mediswift_cs.training.plan import RunPlan, num_checkpoints_kept, plan_run
from mediswift_cs.training.start import evaluation_sets, starting_checkpoint
from mediswift_cs.training.warm_start import is_new_start


def describe(loaded: LoadedParams, options: RunOptions) -> str:
    """The run in words; no weight is read and nothing is written.

    Raises:
        ConfigError, CheckpointError, DataError: what the run would refuse at its start.
    """
    params = loaded.params
    lines = [
        f"{loaded.source}, {options.mode} on {options.device} with the engine {options.engine}",
        f"model: {num_parameters(params.trainer.init.model):,} parameters, {_masked(params)}",
    ]
    if trains(options.mode):
        lines += _training(params, options)
    else:
        for loader in evaluation_sets(params, options.mode):
            lines.append(f"evaluates: {', '.join(map(str, loader.data_dirs))}")
    return "\n".join([*lines, "nothing was written"])


def _masked(params: Params) -> str:
    groups = sparse_groups(params)
    if not groups:
        return "dense"
    zeros, number = (sum(getattr(g, n) for g in groups) for n in ("num_zeros", "num_weights"))
    return f"{zeros:,} of {number:,} masked weights zero"


def _training(params: Params, options: RunOptions) -> Iterator[str]:
    init, fit = params.trainer.init, params.trainer.fit
    assert fit is not None
    loader = fit.train_dataloader
    num_samples = sum(read_contents(Path(folder)).num_samples for folder in loader.data_dirs)
    step, start = _start(params, options)
    begun = origin.counted_from(options.model_dir, step)
    plan = plan_run(init, first_step=begun, num_batches=num_samples // loader.batch_size)
    plan = plan.continued_at(step)
    yield f"starts from {start}"
    num_steps = max(0, plan.last_step - step)
    yield f"steps: {step:,} to {plan.last_step:,}, {num_steps:,} to do; {_frequencies(plan)}"
    tokens, length = num_steps * tokens_per_step(params), sequence_length(params)
    epochs = tokens / (num_samples * length) if num_samples else 0
    folders = ", ".join(map(str, loader.data_dirs))
    yield f"data: {folders}, {num_samples:,} samples; {tokens:,} tokens are {epochs:.3g} epochs"
    if tokens:
        sparse, dense = (
            training_flops(params, tokens, as_dense=as_dense, first_step=step).total
            for as_dense in (False, True)
        )
        yield f"FLOPs: {sparse:.3e}, {dense:.3e} where masked weights cost as much"
    num_masked = sum(group.num_weights for group in sparse_groups(params))
    in_memory = state_bytes(init.model, num_masked)
    yield f"memory: {in_memory / 1e9:.3g} GB, and activations on top"
    yield _files(params, options, plan, checkpoint_bytes(init.model, num_masked))


def _start(params: Params, options: RunOptions) -> tuple[int, str]:
    """The step that training starts at, and what it starts from."""
    _, path = starting_checkpoint(params, options)
    if path is None:
        return 0, "random weights"
    if is_new_start(params.trainer.init, path, options.model_dir):
        return 0, f"the weights of {path}"
    with MdlFile(path) as file:
        step = global_step(file.state, path) or 0
    return step, f"{path}, which it goes on from"


def _frequencies(plan: RunPlan) -> str:
    pairs = (
        ("evaluation", plan.steps_between_evaluations),
        ("checkpoint", plan.steps_between_checkpoints),
    )
    return ", ".join(f"{what} every {n:,}" if n else f"no {what}" for what, n in pairs)


def _files(params: Params, options: RunOptions, plan: RunPlan, num_bytes: int) -> str:
    steps = range(plan.first_step + 1, plan.last_step + 1)
    number = sum(map(plan.is_checkpoint_step, steps))
    kept = num_checkpoints_kept(params.trainer.init)
    number = number if kept is None else min(number, kept)
    place = options.model_dir.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return (
        f"files: {options.model_dir}, {number} checkpoints of {num_bytes / 1e9:.3g} GB, metrics, "
        f"log and events; {free / 1e9:.3g} GB are free there"
    )
