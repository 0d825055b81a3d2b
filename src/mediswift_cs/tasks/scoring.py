"""Scores of answered items, over the documents that a convention counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from mediswift_cs.errors import DataError
from mediswift_cs.tasks.metrics import Interval, bootstrap_interval
from mediswift_cs.tasks.task import UNPARSED, Answered, Task


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One task's items with their answers, and one convention of scoring them.

    Attributes:
        convention: None for tasks that are scored in one way.
        documents: the items of each document that counts: what is drawn in a bootstrap.
    """

    task: Task
    convention: str | None
    items: tuple[Answered, ...]
    documents: tuple[tuple[Answered, ...], ...]

    @classmethod
    def of(cls, task: Task, items: Sequence[Answered], convention: str | None = None) -> Self:
        """Sort items by document; ``convention`` None takes the task's default.

        Raises:
            ConfigError: a convention that the task or its data cannot serve.
            DataError: no document counts.
        """
        if convention is None and task.conventions:
            convention = task.conventions[0]
        task.check_convention(convention)
        by_document: dict[str, list[Answered]] = {}
        for item in items:
            by_document.setdefault(item.document, []).append(item)
        documents = tuple(
            tuple(group)
            for group in by_document.values()
            if task.counts_document(frozenset[str]().union(*(i.gold for i in group)), convention)
        )
        if not documents:
            raise DataError(
                f"the {task.title} convention {convention!r} has nothing to count: no labels at all"
            )
        return cls(task=task, convention=convention, items=tuple(items), documents=documents)

    def scores(self) -> dict[str, float]:
        """The main score, and then the others."""
        items = self._drawn(range(len(self.documents)))
        main = self.task.score(items, self.convention)
        return {self.task.metric(self.convention): main, **self.task.other_scores(items)}

    def baseline(self) -> tuple[float, str]:
        """The main score of the best constant answer, and the name of that answer."""
        items = self._drawn(range(len(self.documents)))
        scores = {
            name: self.task.score([item._replace(said=labels) for item in items], self.convention)
            for name, labels in self.task.constant_answers().items()
        }
        best = max(scores, key=scores.__getitem__)
        return scores[best], best

    def interval(self, num_resamples: int) -> Interval:
        """The bootstrap interval (95 %) of the main score, over documents."""
        return bootstrap_interval(
            len(self.documents),
            lambda drawn: self.task.score(self._drawn(drawn), self.convention),
            num_resamples=num_resamples,
        )

    def gold_distribution(self) -> dict[str, int]:
        """How many of all items have each label."""
        return self._distribution([item.gold for item in self.items])

    def said_distribution(self) -> dict[str, int]:
        """How many of all answers have each label."""
        return self._distribution([item.said for item in self.items])

    def _distribution(self, label_sets: Sequence[frozenset[str] | None]) -> dict[str, int]:
        found = Counter(name for labels in label_sets for name in self.task.shown(labels))
        return {
            name: found[name]
            for name in self.task.shown_classes()
            if found[name] or name != UNPARSED
        }

    def _drawn(self, numbers: Sequence[int]) -> list[Answered]:
        # A document that is drawn twice counts as two.
        return [
            item._replace(document=str(copy))
            for copy, number in enumerate(numbers)
            for item in self.documents[number]
        ]
