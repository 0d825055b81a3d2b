"""Scores of predictions, never without what it takes to judge them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.tasks.metrics import Interval
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import UNPARSED, Confusion, Task

NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Report:
    """The scores of one evaluation, and how they were found.

    Attributes:
        scoring: the answers, and the documents that count.
        scores: the main score first.
        baseline: the main score of the best constant answer, and which answer that is. For
            accuracy it is the majority class.
        interval: bootstrap interval of the main score, over documents.
        num_ties: answers that the order of the labels decided.
    """

    split: str
    method: str
    scoring: Scoring
    scores: dict[str, float]
    baseline: float
    baseline_answer: str
    interval: Interval
    gold_distribution: dict[str, int]
    predicted_distribution: dict[str, int]
    confusion: Confusion
    num_ties: int

    @property
    def task(self) -> Task:
        """The task whose questions were asked."""
        return self.scoring.task

    @property
    def metric(self) -> str:
        """The name of the main score, with its convention where there are several."""
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """The value of the task's main score."""
        return self.scores[self.metric]

    @property
    def num_unparsed(self) -> int:
        """How many answers could not be read as one of the task."""
        return self.predicted_distribution.get(UNPARSED, 0)

    @property
    def absent_labels(self) -> list[str]:
        """The task's labels that no item has; in a macro-F1 each of them counts 0."""
        return [label for label in self.task.labels if not self.gold_distribution.get(label)]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``scores.json``."""
        rows, columns, counts, _ = self.confusion
        return {
            "task": self.task.name,
            "split": self.split,
            "method": self.method,
            "metric": self.metric,
            "scores": self.scores,
            "baseline": {"score": self.baseline, "answer": self.baseline_answer},
            "interval_95": list(self.interval),
            "num_items": len(self.scoring.items),
            "num_documents": len(self.scoring.documents),
            "unparsed_rate": self.num_unparsed / len(self.scoring.items),
            "num_ties": self.num_ties,
            "labels_absent_from_gold": self.absent_labels,
            "gold_distribution": self.gold_distribution,
            "predicted_distribution": self.predicted_distribution,
            "confusion": {"rows": list(rows), "columns": list(columns), "counts": counts},
        }

    def text(self) -> str:
        """The report as lines for a terminal."""
        other = ", ".join(f"{k} {v:.4f}" for k, v in self.scores.items() if k != self.metric)
        low, high = self.interval
        number = len(self.scoring.items)
        lines = [
            f"{self.task.name}, split {self.split}, {self.method}, {number} items of "
            f"{len(self.scoring.documents)} documents",
            f"{self.metric} {self.score:.4f}  (bootstrap 95 % interval {low:.4f} to {high:.4f})",
            f"baseline {self.baseline:.4f}  (always {self.baseline_answer!r})",
            f"gold       {_distribution(self.gold_distribution)}",
            f"predicted  {_distribution(self.predicted_distribution)}",
            f"unparsed   {self.num_unparsed} of {number} ({self.num_unparsed / number:.1%})",
        ]
        return "\n".join([*lines, *([other] if other else []), *self._remarks()])

    def _remarks(self) -> list[str]:
        """What makes the scores say less than they seem to."""
        remarks = []
        if self.num_ties:
            remarks.append(
                f"warning: {self.num_ties} answers are ties, which the first of the labels wins"
            )
        said = [label for label, number in self.predicted_distribution.items() if number]
        if len(said) == 1 and len(self.scoring.items) > 1:
            remarks.append(f"warning: the answer is {said[0]!r} to everything")
        if "macro_f1" in self.scores and self.absent_labels:
            remarks.append(
                f"macro_f1 is the mean over {', '.join(self.task.labels)}; no item is "
                f"{', '.join(self.absent_labels)}, which counts 0"
            )
        return remarks


def make_report(
    predictions: Sequence[Prediction],
    *,
    task: Task,
    split: str,
    method: str,
    convention: str | None,
    num_resamples: int = NUM_RESAMPLES,
) -> Report:
    """Score the predictions of one split by one convention.

    Args:
        convention: one of the task's; None takes the default of a task that has several.

    Raises:
        ConfigError: an unknown convention, or one that the data cannot serve.
        DataError: the convention counts none of the documents.
    """
    scoring = Scoring.of(task, [p.answered() for p in predictions], convention)
    baseline, baseline_answer = scoring.baseline()
    return Report(
        split=split,
        method=method,
        scoring=scoring,
        scores=scoring.scores(),
        baseline=baseline,
        baseline_answer=baseline_answer,
        interval=scoring.interval(num_resamples),
        gold_distribution=scoring.gold_distribution(),
        predicted_distribution=scoring.said_distribution(),
        confusion=task.confusion(scoring.items),
        num_ties=sum(prediction.is_tied for prediction in predictions),
    )


def _distribution(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {number}" for label, number in counts.items())
