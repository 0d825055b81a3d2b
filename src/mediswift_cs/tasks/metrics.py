"""Scores of classifications, one label or several an item. Pure functions on plain values."""

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

LabelSet = AbstractSet[str]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Totals(NamedTuple):
    """True positives, false positives and false negatives."""

    hits: int
    false_alarms: int
    misses: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 0 where nothing is there to find and nothing was said."""
        denominator = 2 * self.hits + self.false_alarms + self.misses
        return 2 * self.hits / denominator if denominator else 0.0


def accuracy(gold: Sequence[object], predicted: Sequence[object]) -> float:
    """The fraction of items whose prediction equals it; None is always wrong."""
    _check_lengths(gold, predicted)
    return sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold)


def macro_f1(gold: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> float:
    """The unweighted mean of the classes' F1; None counts as a miss of the gold class."""
    _check_lengths(gold, predicted)
    pairs = Counter(zip(gold, predicted, strict=True))
    scores = []
    for label in classes:
        hits = pairs[label, label]
        said = sum(n for (_, p), n in pairs.items() if p == label)
        true = sum(n for (g, _), n in pairs.items() if g == label)
        scores.append(Totals(hits, said - hits, true - hits).f1)
    return sum(scores) / len(scores)


def micro_f1(gold: Sequence[LabelSet], predicted: Sequence[LabelSet]) -> float:
    """F1 of the pooled decisions over items and classes; items may have any number of labels."""
    _check_lengths(gold, predicted)
    hits = sum(len(g & p) for g, p in zip(gold, predicted, strict=True))
    num_said, num_true = sum(map(len, predicted)), sum(map(len, gold))
    return Totals(hits, num_said - hits, num_true - hits).f1


def example_based_f1(gold: Sequence[LabelSet], predicted: Sequence[LabelSet]) -> float:
    """2PR / (P + R) of the mean precision P and the mean recall R of the items (BLUE).

    Each item of ``gold`` has at least one label; an item without a prediction has precision 0.
    """
    _check_lengths(gold, predicted)
    assert all(gold), "example-based scores are defined for labelled items only"
    pairs = list(zip(gold, predicted, strict=True))
    precision = sum(len(g & p) / len(p) for g, p in pairs if p) / len(pairs)
    recall = sum(len(g & p) / len(g) for g, p in pairs) / len(pairs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def confusion_matrix(
    gold: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> list[list[int]]:
    """Counts: for each gold class a row of the predicted classes."""
    _check_lengths(gold, predicted)
    pairs = Counter(zip(gold, predicted, strict=True))
    assert set(gold) | set(predicted) <= set(classes)
    return [[pairs[g, p] for p in classes] for g in classes]


def bootstrap_interval(
    num_items: int,
    statistic: Callable[[Sequence[int]], float],
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap interval of a statistic of the items (Efron, 1979).

    Args:
        num_items: how many independent items there are (documents, where sentences of one document
            are not independent).
        statistic: called with the numbers of the drawn items, with repetition.
    """
    values = bootstrap_values(num_items, statistic, num_resamples=num_resamples, seed=seed)
    outside = (1.0 - confidence) / 2
    low, high = np.quantile(values, [outside, 1.0 - outside])
    return Interval(float(low), float(high))


def bootstrap_values(
    num_items: int,
    statistic: Callable[[Sequence[int]], float],
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[float]:
    """The statistic of each resample; the arguments are those of :func:`bootstrap_interval`."""
    assert num_items > 0
    generator = np.random.default_rng(seed)
    return [
        statistic(generator.integers(0, num_items, num_items).tolist())
        for _ in range(num_resamples)
    ]


def _check_lengths(gold: Sequence[object], predicted: Sequence[object]) -> None:
    assert len(gold) == len(predicted)
    assert gold, "a score needs at least one item"
