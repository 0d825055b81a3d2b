"""Estimates with their errors, what speaks for and against a claim, and Holm's correction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from mediswift_cs.sweep.vertex import Vertex, vertex
from mediswift_cs.tasks.metrics import bootstrap_values

CONFIDENCE = 0.95
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error, and the degrees of freedom of that error (Student's t)."""

    value: float
    error: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        """The two-sided 95 % confidence interval of the value."""
        reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    def p_above(self, bound: float) -> float:
        """One-sided p-value for a true value above ``bound``."""
        return self._tail(self.value - bound)

    def p_below(self, bound: float) -> float:
        """One-sided p-value for a true value below ``bound``."""
        return self._tail(bound - self.value)

    def _tail(self, distance: float) -> float:
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stats.t.sf(distance / self.error, self.freedom))


def paired(differences: Sequence[float]) -> Estimate:
    """The mean of one difference a seed: the paired t-test."""
    values = np.asarray(differences, np.float64)
    assert len(values) > 1, "an error needs two seeds"
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(float(values.mean()), error, len(values) - 1)


def paired_over_documents(differences: Floats) -> Estimate:
    """The mean of a difference for each seed and document.

    Seeds and documents are both samples: the squared errors of the paired t-test over seeds and of
    the cluster bootstrap over documents are added up, with Satterthwaite's degrees of freedom.

    Args:
        differences: [seeds, documents].
    """
    over_seeds = paired([float(row.mean()) for row in differences])
    by_document = differences.mean(axis=0)
    drawn = bootstrap_values(len(by_document), lambda chosen: float(by_document[chosen].mean()))
    over_documents = float(np.std(drawn, ddof=1))
    variances = over_seeds.error**2, over_documents**2
    if not sum(variances):
        return over_seeds
    freedom = sum(variances) ** 2 / (
        variances[0] ** 2 / over_seeds.freedom + variances[1] ** 2 / (len(by_document) - 1)
    )
    return Estimate(over_seeds.value, math.sqrt(sum(variances)), freedom)


def slope(levels: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope of ``values`` over ``levels``."""
    return float(np.polyfit(levels, values, 1)[0])


def noise(groups: Mapping[str, Sequence[float]]) -> Estimate:
    """The spread of a single run over seeds, pooled over arms: ``error``, around 0."""
    squares = sum((len(g) - 1) * float(np.var(g, ddof=1)) for g in groups.values())
    freedom = sum(len(g) - 1 for g in groups.values())
    return Estimate(0.0, math.sqrt(squares / freedom), freedom)


def log2_rate(best: Vertex, spread: Estimate) -> Estimate:
    """log2 of a sweep's best rate; its error follows from that of each of the three losses."""
    rates, losses = zip(*best.points, strict=True)
    step = 1e-6 * (max(losses) - min(losses))
    variance = 0.0
    for index in range(len(losses)):
        moved = list(losses)
        # Towards a deeper minimum, so that the three points stay a bracket.
        sign = -1 if index == 1 else 1
        moved[index] += sign * step
        other = vertex(rates, moved)
        assert isinstance(other, Vertex)
        variance += (math.log2(other.rate / best.rate) / step * spread.error) ** 2
    return Estimate(math.log2(best.rate), math.sqrt(variance), spread.freedom)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Of two estimates whose errors come from one spread."""
    assert first.freedom == second.freedom
    error = math.hypot(first.error, second.error)
    return Estimate(first.value - second.value, error, first.freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: of all claims together, one in twenty is wrong at most at 0.05."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
