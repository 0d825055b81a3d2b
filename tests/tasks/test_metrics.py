"""Scores against scikit-learn."""

import random
from collections.abc import Sequence

import pytest
from scipy.stats import binom
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from mediswift_cs.tasks import metrics
from mediswift_cs.tasks.metrics import Totals

CLASSES = ("yes", "no", "maybe")
LABELS = tuple("abcdefghij")


def random_answers(seed: int, choices: tuple[str, ...], number: int = 80) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(choices) for _ in range(number)]


def random_sets(seed: int, number: int = 60) -> list[frozenset[str]]:
    """A third of them empty."""
    rng = random.Random(seed)
    sizes = [rng.choice((0, 1, 2, 4)) if rng.random() < 0.7 else 0 for _ in range(number)]
    return [frozenset(rng.sample(LABELS, size)) for size in sizes]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("unparsed", [False, True])
def test_single_label_scores_are_scikit_learns(seed: int, unparsed: bool) -> None:
    gold = random_answers(seed, CLASSES)
    # Few items and lopsided answers: some classes are never predicted.
    said = random_answers(seed + 100, (*CLASSES[: 1 + seed % 3], "?") if unparsed else CLASSES)
    predicted = [None if answer == "?" else answer for answer in said]
    assert metrics.accuracy(gold, predicted) == pytest.approx(sk.accuracy_score(gold, said))
    expected = sk.f1_score(gold, said, labels=CLASSES, average="macro", zero_division=0)
    assert metrics.macro_f1(gold, predicted, CLASSES) == pytest.approx(expected)
    assert metrics.confusion_matrix(gold, said, (*CLASSES, "?")) == (
        sk.confusion_matrix(gold, said, labels=(*CLASSES, "?")).tolist()
    )


@pytest.mark.parametrize("seed", range(8))
def test_label_set_scores_are_scikit_learns(seed: int) -> None:
    gold, said = random_sets(seed), random_sets(seed + 100)
    said[:30] = gold[:30]
    assert any(not labels for labels in gold), "the test must have items without labels"
    binarizer = MultiLabelBinarizer(classes=LABELS)
    true, predicted = binarizer.fit_transform(gold), binarizer.transform(said)
    expected = sk.f1_score(true, predicted, average="micro", zero_division=0)
    assert metrics.micro_f1(gold, said) == pytest.approx(expected)
    labelled = [i for i, labels in enumerate(gold) if labels]
    kept = true[labelled], predicted[labelled]
    precision = sk.precision_score(*kept, average="samples", zero_division=0)
    recall = sk.recall_score(*kept, average="samples", zero_division=0)
    found = metrics.example_based_f1([gold[i] for i in labelled], [said[i] for i in labelled])
    assert found == pytest.approx(2 * precision * recall / (precision + recall))
    # Control: the two definitions are not the same number.
    assert found != pytest.approx(metrics.micro_f1(gold, said), abs=1e-5)


def test_nothing_said_of_nothing_is_zero() -> None:
    assert Totals(0, 0, 0).f1 == 0.0
    assert metrics.micro_f1([frozenset()], [frozenset()]) == 0.0
    assert metrics.example_based_f1([frozenset("a")], [frozenset()]) == 0.0


def test_bootstrap_interval_covers_a_binomial() -> None:
    hits = [1] * 300 + [0] * 200
    interval = metrics.bootstrap_interval(
        len(hits), lambda drawn: sum(hits[i] for i in drawn) / len(drawn)
    )
    # The normal interval of 0.6 at n = 500.
    assert interval.low == pytest.approx(0.557, abs=0.01)
    assert interval.high == pytest.approx(0.643, abs=0.01)
    again = metrics.bootstrap_interval(
        len(hits), lambda drawn: sum(hits[i] for i in drawn) / len(drawn)
    )
    assert again == interval
    narrower = metrics.bootstrap_interval(
        len(hits), lambda drawn: sum(hits[i] for i in drawn) / len(drawn), confidence=0.9
    )
    assert interval.low < narrower.low < narrower.high < interval.high
    few = metrics.bootstrap_interval(5, lambda drawn: sum(i < 3 for i in drawn) / 5)
    assert few.high - few.low > 5 * (interval.high - interval.low)


def test_the_bootstrap_interval_has_95_percent_unless_it_is_told_otherwise() -> None:
    hits = [1] * 300 + [0] * 200

    def accuracy(drawn: Sequence[int]) -> float:
        return sum(hits[i] for i in drawn) / len(drawn)

    # The exact quantiles of the binomial distribution; 90 % would be 0.564 to 0.636.
    interval = metrics.bootstrap_interval(len(hits), accuracy, num_resamples=5000)
    assert interval == pytest.approx(tuple(binom.ppf([0.025, 0.975], 500, 0.6) / 500), abs=0.0035)
    assert interval == metrics.bootstrap_interval(
        len(hits), accuracy, num_resamples=5000, confidence=0.95, seed=0
    )
    seen: list[int] = []
    metrics.bootstrap_interval(7, lambda drawn: seen.append(len(drawn)) or 0.0)  # type: ignore[func-returns-value]
    assert seen == [7] * 1000


def test_every_item_is_drawn_and_no_other() -> None:
    drawn_numbers: set[int] = set()

    def note(drawn: Sequence[int]) -> float:
        drawn_numbers.update(drawn)
        return 0.0

    metrics.bootstrap_interval(5, note, num_resamples=50)
    assert drawn_numbers == set(range(5))


def test_scores_need_pairs() -> None:
    for function in (metrics.accuracy, metrics.micro_f1):
        with pytest.raises(AssertionError):
            function([], [])  # type: ignore[operator]
        with pytest.raises(AssertionError):
            function([frozenset("a")], [])  # type: ignore[operator]
