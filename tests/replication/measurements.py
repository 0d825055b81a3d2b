"""Measurements of our own making, on which each claim holds unless a test changes them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mediswift_cs.replication import scales
from mediswift_cs.replication.measured import Measured, Sweep
from mediswift_cs.replication.statistics import Floats

SEEDS = 4
DENSE, SPARSE, HALF = scales.DENSE.name, scales.SPARSE.name, scales.corrected(0.5).name
STANDARD = scales.standard(0.75).name
SMALL, SHORT = scales.SMALL.name, scales.SHORT.name


def sweep(best: float, *, curvature: float = 0.1) -> Sweep:
    """A sweep whose vertex is at 2 ** best."""
    rates = [2.0**exponent for exponent in range(-10, -4)]
    return Sweep(losses={r: 2.0 + curvature * (math.log2(r) - best) ** 2 for r in rates})


def open_sweep() -> Sweep:
    """A sweep whose lowest loss is at its end."""
    return Sweep(losses={2.0**-9: 2.2, 2.0**-8: 2.1, 2.0**-7: 2.0})


def bits(mean: float, spread: float = 0.0004) -> list[float]:
    """Losses that share most of their seeds' noise, as paired runs do."""
    shared = (0.01, -0.02, 0.015, -0.005)
    own = np.random.default_rng(int(1000 * mean)).normal(0, spread, SEEDS)
    return [mean + a + b for a, b in zip(shared, own, strict=True)]


def answers(share: float, number: int = 500) -> Floats:
    """Right answers: the same documents are easy for all, and seeds differ in a few."""
    rows = []
    for seed in range(SEEDS):
        right = np.arange(number) < round(share * number) + 2 * seed
        rows.append(right.astype(np.float64))
    return np.stack(rows)


def outputs(size: float) -> list[dict[str, float]]:
    """Activations with some noise over seeds."""
    factors = (1.0, 1.02, 0.99, 1.01)
    return [{"attention": 0.3 * size * f, "feed-forward": 0.6 * size / f} for f in factors]


def all_held() -> Measured:
    """Each of the nine claims holds."""
    names = [tuned.name for tuned in scales.TUNED_ARMS]
    right = dict.fromkeys(names, answers(0.80)) | {
        scales.TUNED_MASKED.name: answers(0.70),
        scales.TUNED_SCRATCH.name: answers(0.60),
        scales.TUNED_PROMPT.name: answers(0.90),
    }
    scale = scales.SCALES["hour"]
    rates = {DENSE: -7.5, HALF: -7.45, SPARSE: -7.55, STANDARD: -6.0, SMALL: -7.0, SHORT: -6.9}
    return Measured(
        sparsities=(0.5, 0.75),
        rates={name: sweep(best) for name, best in rates.items()},
        tuning_rates={name: sweep(-8.0) for name in names},
        bits={
            DENSE: bits(1.90),
            HALF: bits(1.93),
            SPARSE: bits(1.95),
            STANDARD: bits(1.96),
            SMALL: bits(1.98),
            SHORT: bits(2.05),
        },
        outputs={DENSE: outputs(1.0), SPARSE: outputs(1.05), STANDARD: outputs(0.13)},
        right=right,
        baseline=0.55,
        sizes={
            arm.name: {
                "weights": scales.num_weights(scale.size_of(arm), arm.sparsity),
                "flops": scales.training_flops(scale.size_of(arm), arm.sparsity),
            }
            for arm in scale.arms
        },
    )


def changed(measured: Measured, field: str, **values: Any) -> Measured:
    """With other values for some names of one field."""
    return replace(measured, **{field: {**getattr(measured, field), **values}})
