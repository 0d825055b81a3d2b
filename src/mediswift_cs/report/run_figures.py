"""The curves of runs: which numbers of ``metrics.jsonl`` are drawn over what."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from mediswift_cs.pages.figures import Line, curves
from mediswift_cs.report.run_record import RunRecord


class Curve(NamedTuple):
    """One figure over steps.

    Attributes:
        metric: a number of ``metrics.jsonl``.
        label: what stands at its axis.
        caption: what it says to somebody who sees it for the first time.
    """

    metric: str
    label: str
    caption: str
    style: str = "-"


Figures = list[tuple[Markup, str]]

BITS = "val_bits_per_byte"
TRAINING = (
    Curve("learning_rate", "learning rate", "The learning rate of each update."),
    Curve(
        "gradient_norm",
        "gradient norm",
        "The norm of all gradients together, before it was clipped.",
    ),
    Curve(
        "clipped_fraction",
        "share of updates clipped",
        "How many updates since the line before had their gradients clipped.",
    ),
    Curve(
        "tokens_per_second",
        "tokens a second",
        "Tokens trained on in a second of wall time, padding included, evaluations left out.",
    ),
    Curve("val_answer_accuracy", "right answers", "Validation answers that were right.", "o-"),
    Curve("loss_scale", "loss scale", "The dynamic scale of the loss."),
    Curve("gpu_memory_gib", "GiB", "The most memory of the GPU so far."),
    Curve(
        "model_flops_utilization",
        "share of the peak",
        "The model's dense operations over the peak of the device.",
    ),
)


class Axis(NamedTuple):
    """What runs are drawn over: a name, and how much of it there is at a step (None: not known)."""

    name: str
    until: Callable[[RunRecord, int], int | None]


AXES = (
    Axis("steps", lambda run, step: step),
    Axis("tokens", lambda run, step: run.tokens_per_step and run.tokens_per_step * step),
    Axis("FLOPs", lambda run, step: run.flops_until(step)),
)


def loss_figures(runs: Sequence[RunRecord]) -> Figures:
    """The loss, training and held out, and bits per byte, over steps, tokens and FLOPs."""
    figures = []
    for is_bits in (False, True):
        for axis in AXES:
            lines = [
                line
                for number, run in enumerate(runs)
                for line in _loss_lines(run, number, axis, is_bits=is_bits)
            ]
            if lines:
                label = "bits per byte" if is_bits else "loss, nats per token"
                what = "held out" if is_bits else "lines: training; points: held out"
                picture = curves(lines, x=axis.name, y=label)
                figures.append((picture, f"{label} over {axis.name} ({what})"))
    return figures


def _loss_lines(run: RunRecord, number: int, axis: Axis, *, is_bits: bool) -> list[Line]:
    if axis.until(run, 1) is None:
        return []
    # With several validation sets each has a number behind its name.
    pattern = rf"{BITS}(_\d+)?" if is_bits else r"loss|val_loss(_\d+)?"
    return [
        Line(
            x=[axis.until(run, step) or 0 for step in steps],
            y=values,
            colour=number,
            style="-" if name == "loss" else "o--",
        )
        for name, (steps, values) in run.metrics.items()
        if re.fullmatch(pattern, name)
    ]


def training_figures(runs: Sequence[RunRecord]) -> tuple[Figures, list[str]]:
    """How training went, over steps; and the names of what no run has logged."""
    figures, absent = [], []
    for curve in TRAINING:
        lines = [
            Line(x=steps, y=values, colour=number, style=curve.style)
            for number, run in enumerate(runs)
            for steps, values in [run.metrics.get(curve.metric, ([], []))]
            if steps
        ]
        if lines:
            figures.append((curves(lines, x="steps", y=curve.label), curve.caption))
        else:
            absent.append(curve.label)
    return figures, absent
