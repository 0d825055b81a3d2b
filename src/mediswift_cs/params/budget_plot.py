"""The plot of a plan: what sparsity changes, from dense to 95 %."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.machines import Machine
from mediswift_cs.params.budget import Budget, plan_rows
from mediswift_cs.storage.write import atomic_file

SPARSITIES = tuple(number / 100 for number in range(0, 96))
FORMATS = ("png", "svg", "pdf")


def check_format(path: Path) -> None:
    """Raise ConfigError for a file of another kind than the plot can be."""
    if path.suffix.removeprefix(".") not in FORMATS:
        allowed = ", ".join(f".{name}" for name in FORMATS)
        raise ConfigError(f"--plot: got {path}, allowed: a name that ends in {allowed}")


def draw_plan(sizes: Sequence[str], budget: Budget, cs: Machine, gpu: Machine, path: Path) -> Path:
    """Draw FLOPs, or the tokens that the budget pays for, and m* over the sparsity.

    Raises:
        ConfigError: as of :func:`mediswift_cs.params.budget.plan_rows`.
        DataError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    is_fixed = budget == Budget(tokens=budget.tokens)
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    cost, multiplier = figure.subplots(1, 2)
    for number, size in enumerate(sizes):
        rows = plan_rows([size], SPARSITIES, budget, cs, gpu)
        color = f"C{number}"
        values = [row.training_flops if is_fixed else row.tokens for row in rows]
        cost.plot(SPARSITIES, values, color=color, label=size)
        if is_fixed:
            on_gpu = [row.training_flops_on_gpu for row in rows]
            cost.plot(SPARSITIES, on_gpu, color=color, ls="--")
        multiplier.plot(SPARSITIES, [r.multiplier_to_beat for r in rows], color=color, label=size)
    title = "training FLOPs (dashed: on a GPU)" if is_fixed else "tokens that the budget pays for"
    _label(cost, title)
    cost.set_yscale("log")
    # Not the powers of ten of mathtext, whose fonts not every machine has.
    for axis in (cost.yaxis.set_major_formatter, cost.yaxis.set_minor_formatter):
        axis("{x:.0e}")
    _label(multiplier, "m*: dense weights that a kept weight must be worth")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."))
    return path


def _label(axes: Any, title: str) -> None:
    axes.set(title=title, xlabel="sparsity")
    axes.grid(alpha=0.3)
    axes.legend()
