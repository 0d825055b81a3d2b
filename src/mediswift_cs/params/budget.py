"""What a budget pays for: sizes, sparsities and tokens, with FLOPs, time and bytes; as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, prod
from textwrap import fill
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.flops import multiplier_to_beat, shape_of_size
from mediswift_cs.machines import CS2, GPUS, Machine
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.params.weights import num_parameters, weights
from mediswift_cs.sizes import SIZES, ModelSize

FLOAT32 = 4
# Weights, their gradients and the two moments of AdamW.
STATE_COPIES, MOMENTS = 4, 2

NOTES = (
    "m*: at these FLOPs a sparse model beats the dense one of the same depth and less width only "
    "if each weight that it kept is worth m* weights of that one.",
    "On a GPU or CPU a masked weight is multiplied like any other: 75 % costs what dense costs.",
    "State: weights, gradients and moments in float32, masks in bytes; activations come on top. "
    "Checkpoint: as this package writes one, with moments and masks.",
    "Time is FLOPs over a rate; what else bounds a step is not in it. Nothing here was measured on "
    "these machines by this package.",
)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may cost; one of the attributes is given, or none for the sizes' own tokens.

    Attributes:
        flops: operations, where masked weights cost nothing.
        cs_days: days of one CS system.
        gpu_hours: hours of one GPU.
        tokens: tokens to train on.
    """

    flops: float | None = None
    cs_days: float | None = None
    gpu_hours: float | None = None
    tokens: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ConfigError(f"got {names}, allowed: one of them")
        for name, value in given.items():
            if not isfinite(value) or value <= 0:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option}: got {value:g}, allowed: a number above 0")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run that the budget pays for; FLOPs of matrix products, in closed form."""

    size: str
    sparsity: float
    parameters: int
    kept_parameters: int
    tokens: int
    training_flops: int
    training_flops_on_gpu: int
    multiplier_to_beat: float
    cs_days: float
    cs_days_at_peak: float
    gpu_hours: float
    state_bytes: int
    checkpoint_bytes: int


def plan_rows(
    sizes: Sequence[str], sparsities: Sequence[float], budget: Budget, cs: Machine, gpu: Machine
) -> list[Row]:
    """One row a size and sparsity.

    Raises:
        ConfigError: an unknown size, a sparsity outside [0, 1), or a budget that pays for nothing.
    """
    for name in sizes:
        if name not in SIZES:
            raise ConfigError(f"SIZE: got {name!r}, allowed: {', '.join(SIZES)}")
    return [
        _row(SIZES[name], sparsity, budget, cs, gpu) for name in sizes for sparsity in sparsities
    ]


def _row(size: ModelSize, sparsity: float, budget: Budget, cs: Machine, gpu: Machine) -> Row:
    dense = shape_of_size(size).training_flops()
    sparse = shape_of_size(size, sparsity).training_flops()
    num_sequences = _num_sequences(size, budget, cs, gpu, sparse.total, dense.total)
    if not num_sequences:
        raise ConfigError(
            f"the budget pays for no sequence of {size.max_position_embeddings} tokens of size "
            f"{size.name}, got {_spell(budget)}, allowed: more"
        )
    flops, on_gpu = sparse.total * num_sequences, dense.total * num_sequences
    model = _model(size)
    masked = sum(prod(one.shape) for one in weights(model) if one.kind == "projection")
    shape = shape_of_size(size, sparsity)
    num_zeros = masked - shape.num_projection_weights - shape.num_feed_forward_weights
    number, num_masked = num_parameters(model), masked if sparsity else 0
    seconds = flops / cs.peak_flops
    return Row(
        size=size.name,
        sparsity=sparsity,
        parameters=number,
        kept_parameters=number - num_zeros,
        tokens=num_sequences * size.max_position_embeddings,
        training_flops=flops,
        training_flops_on_gpu=on_gpu,
        multiplier_to_beat=multiplier_to_beat(dense, sparse),
        cs_days=seconds / cs.utilization / 86400,
        cs_days_at_peak=seconds / 86400,
        gpu_hours=on_gpu / gpu.flops / 3600,
        state_bytes=state_bytes(model, num_masked),
        checkpoint_bytes=checkpoint_bytes(model, num_masked),
    )


def state_bytes(model: ModelParams, num_masked: int) -> int:
    """Bytes of weights, gradients, moments and masks in memory, without activations."""
    return STATE_COPIES * FLOAT32 * num_parameters(model) + num_masked


def checkpoint_bytes(model: ModelParams, num_masked: int) -> int:
    """Bytes of the tensors in a checkpoint of a run that goes on."""
    # Tied weights stand in it under each of their names.
    num_stored = sum(prod(one.shape) for one in weights(model))
    return FLOAT32 * (num_stored + MOMENTS * num_parameters(model)) + num_masked


def _num_sequences(
    size: ModelSize, budget: Budget, cs: Machine, gpu: Machine, sparse: int, dense: int
) -> int:
    """How many sequences the budget pays for, at these operations a sequence."""
    if budget.flops is not None:
        return int(budget.flops / sparse)
    if budget.cs_days is not None:
        return int(budget.cs_days * 86400 * cs.flops / sparse)
    if budget.gpu_hours is not None:
        return int(budget.gpu_hours * 3600 * gpu.flops / dense)
    tokens = size.num_tokens if budget.tokens is None else budget.tokens
    return int(tokens // size.max_position_embeddings)


def _model(size: ModelSize) -> ModelParams:
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_heads", "filter_size")
    shape = {name: getattr(size, name) for name in (*names, "max_position_embeddings")}
    return ModelParams(name="mediswift", **shape)


def _spell(budget: Budget) -> str:
    given = {name: value for name, value in asdict(budget).items() if value is not None}
    return ", ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in given.items())


def cs_system(utilization: float | None) -> Machine:
    """The CS-2, with another share of its peak where one is given; ConfigError outside (0, 1]."""
    if utilization is None:
        return CS2
    if not 0 < utilization <= 1:
        raise ConfigError(f"--cs-utilization: got {utilization:g}, allowed: above 0 and at most 1")
    source = CS2.utilization_source._replace(why="given with --cs-utilization")
    return replace(CS2, utilization=utilization, utilization_source=source)


def gpu(name: str) -> Machine:
    """A GPU by its name; ConfigError for one without published numbers."""
    if name not in GPUS:
        raise ConfigError(f"--gpu: got {name!r}, allowed: {', '.join(GPUS)}")
    return GPUS[name]


def sources(machines: Sequence[Machine]) -> list[str]:
    """One sentence a number of these machines, with its mark."""
    return [
        f"{one.name} {what} ({source.mark}: {source.why})"
        for one in machines
        for what, source in (
            (f"peak {one.peak_flops:.3g} FLOP/s", one.peak_source),
            (f"share of the peak {one.utilization:g}", one.utilization_source),
        )
    ]


def plan_text(rows: Sequence[Row], cs: Machine, gpu: Machine) -> str:
    """The table of :func:`plan_rows`, and what it rests on."""
    times = (f"{cs.name} days", "(at peak)", f"{gpu.name} hours")
    titles = ("size", "sparsity", "tokens", "FLOPs", "m*", *times, "state GB", "checkpoint GB")
    widths = (6, 9, 10, 10, 6, 10, 10, 11, 9, 14)
    cells = [
        (
            row.size,
            f"{row.sparsity:.4g}",
            f"{row.tokens:.4g}",
            f"{row.training_flops:.3e}",
            f"{row.multiplier_to_beat:.2f}",
            *(f"{value:.3g}" for value in (row.cs_days, row.cs_days_at_peak, row.gpu_hours)),
            *(f"{value / 1e9:.3g}" for value in (row.state_bytes, row.checkpoint_bytes)),
        )
        for row in rows
    ]
    lines = [
        " ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
        for line in (titles, *cells)
    ]
    notes = [
        fill(note, 100, subsequent_indent="  ", break_on_hyphens=False)
        for note in (*NOTES, *sources((cs, gpu)))
    ]
    return "\n".join([*lines, "", *notes])


def plan_json(rows: Sequence[Row], budget: Budget, cs: Machine, gpu: Machine) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "budget": {name: value for name, value in asdict(budget).items() if value is not None},
        "rows": [asdict(row) for row in rows],
        "machines": [asdict(cs), asdict(gpu)],
        "notes": [*NOTES, *sources((cs, gpu))],
    }
