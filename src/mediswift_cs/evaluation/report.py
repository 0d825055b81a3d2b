"""Scores of predictions, never without what it takes to judge them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.tasks.metrics import Interval
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered, Confusion, Task

NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation.

    Attributes:
        metric: name of the main score, with its convention where there are several.
        baseline: the main score of the best constant answer, and which answer that is. For
            accuracy it is the majority class.
        interval: bootstrap interval of the main score, over documents.
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
    confusion: Confusion

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
                "rows": list(self.confusion.rows),
                "columns": list(self.confusion.columns),
                "counts": self.confusion.counts,
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
    task: Task,
    split: str,
    method: str,
    convention: str | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> Report:
    """Score predictions.

    Args:
        convention: one of the task's; None takes the default of a task that has several.

    Raises:
        ConfigError: an unknown convention, or one that the data cannot serve.
        DataError: the convention counts none of the documents.
    """
    answered = [
        Answered(
            p.example.document,
            frozenset(p.example.labels),
            None if p.labels is None else frozenset(p.labels),
        )
        for p in predictions
    ]
    scoring = Scoring.of(task, answered, convention)
    scores = scoring.scores()
    baseline, baseline_answer = scoring.baseline()
    return Report(
        task=task.name,
        split=split,
        method=method,
        metric=next(iter(scores)),
        scores=scores,
        baseline=baseline,
        baseline_answer=baseline_answer,
        interval=scoring.interval(num_resamples),
        num_items=len(scoring.items),
        num_documents=len(scoring.documents),
        num_unparsed=scoring.num_unparsed(),
        gold_distribution=scoring.gold_distribution(),
        predicted_distribution=scoring.said_distribution(),
        confusion=task.confusion(scoring.items),
    )


def _distribution(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {number}" for label, number in counts.items())
