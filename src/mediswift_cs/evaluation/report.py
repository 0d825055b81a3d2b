"""Scores of predictions, never without what it takes to judge them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.tasks import artificial, hoc, metrics, pubmedqa
from mediswift_cs.tasks.metrics import Interval

NUM_RESAMPLES = 1000
NO_LABEL = "(none)"
UNPARSED = hoc.UNPARSED


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation.

    Attributes:
        metric: name of the main score; for HoC with its convention.
        baseline: the main score of the best constant answer, and which answer that is. For
            accuracy it is the majority class.
        interval: bootstrap interval of the main score, over documents.
        counts: confusion counts. Single-label tasks: [gold][predicted]; HoC: [label][found, missed,
            false alarm].
    """

    task: str
    split: str
    method: str
    metric: str
    scores: dict[str, float]
    baseline: float
    baseline_answer: str
    interval: Interval
    num_items: int
    num_documents: int
    num_unparsed: int
    gold_distribution: dict[str, int]
    predicted_distribution: dict[str, int]
    count_rows: tuple[str, ...]
    count_columns: tuple[str, ...]
    counts: list[list[int]]

    @property
    def score(self) -> float:
        """The main score."""
        return self.scores[self.metric]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``scores.json``."""
        return {
            "task": self.task,
            "split": self.split,
            "method": self.method,
            "metric": self.metric,
            "scores": self.scores,
            "baseline": {"score": self.baseline, "answer": self.baseline_answer},
            "interval_95": list(self.interval),
            "num_items": self.num_items,
            "num_documents": self.num_documents,
            "unparsed_rate": self.num_unparsed / self.num_items,
            "gold_distribution": self.gold_distribution,
            "predicted_distribution": self.predicted_distribution,
            "confusion": {
                "rows": list(self.count_rows),
                "columns": list(self.count_columns),
                "counts": self.counts,
            },
        }

    def text(self) -> str:
        """The report for people."""
        other = ", ".join(f"{k} {v:.4f}" for k, v in self.scores.items() if k != self.metric)
        low, high = self.interval
        lines = [
            f"{self.task}, split {self.split}, {self.method}, {self.num_items} items of "
            f"{self.num_documents} documents",
            f"{self.metric} {self.score:.4f}  (bootstrap 95 % interval {low:.4f} to {high:.4f})",
            f"baseline {self.baseline:.4f}  (always {self.baseline_answer!r})",
            f"gold       {_distribution(self.gold_distribution)}",
            f"predicted  {_distribution(self.predicted_distribution)}",
            f"unparsed   {self.num_unparsed} of {self.num_items} "
            f"({self.num_unparsed / self.num_items:.1%})",
        ]
        return "\n".join([*lines, *([other] if other else [])])


def make_report(
    predictions: Sequence[Prediction],
    *,
    task: str,
    split: str,
    method: str,
    convention: str = hoc.DEFAULT_CONVENTION,
    level: hoc.Level = "document",
    num_resamples: int = NUM_RESAMPLES,
) -> Report:
    """Score predictions.

    Args:
        convention, level: HoC only.

    Raises:
        ConfigError: an unknown convention, or one that the level cannot serve.
    """
    if task == "hoc":
        return _label_sets(predictions, split, method, convention, level, num_resamples)
    labels = pubmedqa.LABELS if task == "pubmedqa" else artificial.LABELS
    return _one_of(predictions, task, split, method, labels, num_resamples)


def _one_of(
    predictions: Sequence[Prediction],
    task: str,
    split: str,
    method: str,
    labels: tuple[str, ...],
    num_resamples: int,
) -> Report:
    gold = [p.example.labels[0] for p in predictions]
    said = [p.labels[0] if p.labels else None for p in predictions]
    constant = {label: metrics.accuracy(gold, [label] * len(gold)) for label in labels}
    best = max(labels, key=constant.__getitem__)
    # A generated answer may name a label that this task does not have.
    shown = [UNPARSED if label not in labels else str(label) for label in said]
    interval = metrics.bootstrap_interval(
        len(gold),
        lambda drawn: metrics.accuracy([gold[i] for i in drawn], [said[i] for i in drawn]),
        num_resamples=num_resamples,
    )
    columns = (*labels, UNPARSED)
    matrix = metrics.confusion_matrix(gold, shown, columns)
    return Report(
        task=task,
        split=split,
        method=method,
        metric="accuracy",
        scores={
            "accuracy": metrics.accuracy(gold, said),
            "macro_f1": metrics.macro_f1(gold, said, labels),
        },
        baseline=constant[best],
        baseline_answer=best,
        interval=interval,
        num_items=len(gold),
        num_documents=len({p.example.document for p in predictions}),
        num_unparsed=shown.count(UNPARSED),
        gold_distribution=_count(gold, labels),
        predicted_distribution=_count(shown, columns),
        count_rows=labels,
        count_columns=columns,
        counts=matrix[: len(labels)],
    )


def _label_sets(
    predictions: Sequence[Prediction],
    split: str,
    method: str,
    convention: str,
    level: hoc.Level,
    num_resamples: int,
) -> Report:
    names = [p.example.document for p in predictions]
    gold = [frozenset(p.example.labels) for p in predictions]
    said = [None if p.labels is None else frozenset(p.labels) for p in predictions]
    # An unreadable answer finds no label and raises no label's alarm.
    named = [labels or frozenset() for labels in said]
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_name.setdefault(name, []).append(index)
    # Documents that the convention does not count must not be drawn either.
    counts_all = convention not in hoc.CONVENTIONS or not hoc.CONVENTIONS[convention].labelled_only
    groups = [g for g in by_name.values() if counts_all or any(gold[i] for i in g)]

    def score(sets: Sequence[frozenset[str] | None], drawn: Sequence[int] | None = None) -> float:
        # A document that is drawn twice counts as two.
        chosen = range(len(groups)) if drawn is None else drawn
        items = [(f"{copy}", i) for copy, number in enumerate(chosen) for i in groups[number]]
        indices = [i for _, i in items]
        return hoc.score(
            convention,
            [name for name, _ in items],
            [gold[i] for i in indices],
            [sets[i] for i in indices],
            level,
        )

    answers = (frozenset[str](), *(frozenset({label}) for label in hoc.LABELS))
    constant = {answer: score([answer] * len(gold)) for answer in answers}
    best = max(answers, key=constant.__getitem__)
    interval = metrics.bootstrap_interval(
        len(groups), lambda drawn: score(said, drawn), num_resamples=num_resamples
    )
    metric = f"{hoc.CONVENTIONS[convention].metric} ({convention})"
    counts = [
        [
            sum(label in g and label in s for g, s in zip(gold, named, strict=True)),
            sum(label in g and label not in s for g, s in zip(gold, named, strict=True)),
            sum(label not in g and label in s for g, s in zip(gold, named, strict=True)),
        ]
        for label in hoc.LABELS
    ]
    return Report(
        task="hoc",
        split=split,
        method=method,
        metric=metric,
        scores={metric: score(said)},
        baseline=constant[best],
        baseline_answer=next(iter(best), hoc.EMPTY),
        interval=interval,
        num_items=len(gold),
        num_documents=len(groups),
        num_unparsed=sum(p.labels is None for p in predictions),
        gold_distribution=_count_sets(gold),
        predicted_distribution=_count_sets(said),
        count_rows=hoc.LABELS,
        count_columns=("found", "missed", "false alarm"),
        counts=counts,
    )


def _count(labels: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    found = Counter(labels)
    return {label: found[label] for label in classes if found[label] or label != UNPARSED}


def _count_sets(label_sets: Sequence[frozenset[str] | None]) -> dict[str, int]:
    named = [{UNPARSED} if labels is None else labels or {NO_LABEL} for labels in label_sets]
    classes = (*hoc.LABELS, NO_LABEL, UNPARSED)
    return _count([label for labels in named for label in labels], classes)


def _distribution(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {number}" for label, number in counts.items())
