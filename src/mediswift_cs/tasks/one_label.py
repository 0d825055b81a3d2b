"""Tasks whose items have one label of a closed set each."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from mediswift_cs.errors import DataError
from mediswift_cs.tasks import metrics
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.task import UNPARSED, Answered, Confusion, Task, sentence, stated


class OneLabel(Task):
    """One label an item, scored by accuracy and macro-F1."""

    @property
    def readable(self) -> tuple[str, ...]:
        """The labels that an answer may state; one that the task does not have is wrong."""
        return self.labels

    def check_example(self, example: Example) -> None:
        """Raise DataError unless the example has one label, and one of the task's."""
        if len(example.labels) != 1 or example.labels[0] not in self.labels:
            raise DataError(
                f"labels of example {example.id}: got {list(example.labels)!r:.80}, allowed: one "
                f"of {', '.join(self.labels)}"
            )

    def answer_text(self, labels: Sequence[str]) -> str:
        """The sentence that states the label."""
        (label,) = labels
        return sentence(self.stem, label)

    def longest_answers(self) -> list[str]:
        """The sentences of all labels, of which one is the longest."""
        return [self.answer_text((label,)) for label in self.labels]

    def parse_answer(self, text: str) -> tuple[str, ...] | None:
        """The label that a generated sentence states; None unless it is exactly that sentence."""
        label = stated(self.stem, text)
        return (label,) if label in self.readable else None

    def metric(self, convention: str | None) -> str:
        """The name of the main score, which is the accuracy."""
        return "accuracy"

    def score(self, items: Sequence[Answered], convention: str | None) -> float:
        """The fraction of items whose answer is the right label."""
        return metrics.accuracy([item.gold for item in items], [item.said for item in items])

    def other_scores(self, items: Sequence[Answered]) -> dict[str, float]:
        """The macro-F1 over the task's labels."""
        gold, said = ([_only(x) for x in sets] for sets in _columns(items))
        return {"macro_f1": metrics.macro_f1(gold, said, self.labels)}

    def constant_answers(self) -> dict[str, frozenset[str]]:
        """Each label as an answer that is always given."""
        return {label: frozenset({label}) for label in self.labels}

    def shown(self, labels: AbstractSet[str] | None) -> tuple[str, ...]:
        """The label, or ``UNPARSED`` for one that the task does not have."""
        label = _only(labels)
        return (label if label in self.labels else UNPARSED,)

    def shown_classes(self) -> tuple[str, ...]:
        """The labels, and what is none of them."""
        return (*self.labels, UNPARSED)

    def confusion(self, items: Sequence[Answered]) -> Confusion:
        """Counts: for each gold answer a row of the predicted ones."""
        classes = self.shown_classes()
        gold, said = ([self.shown(x)[0] for x in sets] for sets in _columns(items))
        matrix = metrics.confusion_matrix(gold, said, classes)
        return Confusion(self.labels, classes, matrix[: len(self.labels)], "predicted")


def _columns(
    items: Sequence[Answered],
) -> tuple[list[AbstractSet[str]], list[AbstractSet[str] | None]]:
    return [item.gold for item in items], [item.said for item in items]


def _only(labels: AbstractSet[str] | None) -> str:
    """The one label; ``UNPARSED`` where there is none."""
    return next(iter(labels), UNPARSED) if labels else UNPARSED
