"""Tasks whose items have any number of labels, and conventions that count them differently."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import metrics
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.task import (
    NO_LABEL,
    UNPARSED,
    Answered,
    Confusion,
    Step,
    Task,
    sentence,
    stated,
)

# How an answer states that there is no label, and what is between two.
EMPTY = "empty"
SEPARATOR = "|"

Level = Literal["document", "sentence"]
LEVELS: tuple[Level, ...] = get_args(Level)

_METRICS = {"micro_f1": metrics.micro_f1, "example_based_f1": metrics.example_based_f1}


class Convention(NamedTuple):
    """What is counted: which unit, which documents, and how."""

    level: Level
    labelled_only: bool
    empty_is_a_class: bool
    metric: Literal["micro_f1", "example_based_f1"]


def state_labels(stem: str, labels: Iterable[str], order: Sequence[str]) -> str:
    """The sentence that states the labels in the order of ``order``."""
    chosen = set(labels)
    return sentence(stem, SEPARATOR.join(x for x in order if x in chosen) or EMPTY)


@dataclass(frozen=True, kw_only=True)
class LabelSets(Task):
    """Any number of labels an item; a concrete task names its labels and its conventions.

    Attributes:
        level: what an item is, a document or a sentence of one.
        rules: what each of the conventions counts.
    """

    level: Level = "document"

    has_label_sets = True
    rules: ClassVar[Mapping[str, Convention]]

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ConfigError(
                f"level of {self.title}: got {self.level!r}, allowed: {', '.join(LEVELS)}"
            )

    def check_example(self, example: Example) -> None:
        """Raise DataError where the example has a label that the task does not have."""
        if unknown := sorted(set(example.labels) - set(self.labels)):
            raise DataError(
                f"labels of example {example.id}: got {unknown[0]!r}, allowed: "
                f"{', '.join(self.labels)}"
            )

    def answer_text(self, labels: Sequence[str]) -> str:
        """The sentence that states the labels in their order."""
        return state_labels(self.stem, labels, self.labels)

    def longest_answers(self) -> list[str]:
        """The one answer that states all labels."""
        return [self.answer_text(self.labels)]

    def parse_answer(self, text: str) -> tuple[str, ...] | None:
        """The labels that a generated sentence states; None unless it is exactly that."""
        statement = stated(self.stem, text)
        if statement is None:
            return None
        names = [] if statement == EMPTY else statement.split(SEPARATOR)
        is_known = set(names) <= set(self.labels) and len(set(names)) == len(names)
        return tuple(x for x in self.labels if x in names) if is_known else None

    def next_steps(self, chosen: Sequence[str]) -> list[Step]:
        """The labels after the last one that was chosen, and at the start also "empty"."""
        first = self.labels.index(chosen[-1]) + 1 if chosen else 0
        lead = "" if chosen else " "
        steps = [] if chosen else [Step(f"{lead}{EMPTY}.", None, False)]
        for number, label in enumerate(self.labels[first:], start=first):
            steps.append(Step(f"{lead}{label}.", label, False))
            if number < len(self.labels) - 1:
                steps.append(Step(f"{lead}{label}{SEPARATOR}", label, True))
        return steps

    def check_convention(self, convention: str | None) -> None:
        """Raise ConfigError for an unknown one, or one that counts sentences of whole documents."""
        if convention is None or convention not in self.rules:
            raise ConfigError(
                f"convention of {self.title}: got {convention!r}, allowed: "
                f"{', '.join(self.conventions)}"
            )
        if self.rules[convention].level == "sentence" and self.level == "document":
            raise ConfigError(
                f"the {self.title} convention {convention!r} counts sentences, got data at "
                "document level; prepare the data with --level sentence"
            )

    def metric(self, convention: str | None) -> str:
        """The metric with the name of its convention: no score is told without it."""
        return f"{self._rules(convention).metric} ({convention})"

    def counts_document(self, gold: AbstractSet[str], convention: str | None) -> bool:
        """Some conventions leave out the documents without any label."""
        return bool(gold) or not self._rules(convention).labelled_only

    def score(self, items: Sequence[Answered], convention: str | None) -> float:
        """The score by one convention, over the items of documents that it counts.

        Sentences become documents by union where the convention counts documents. An answer that
        could not be read counts as one label that is never right, not as the answer without labels.
        """
        rules = self._rules(convention)
        gold: Sequence[AbstractSet[str]] = [item.gold for item in items]
        said: Sequence[AbstractSet[str]]
        said = [{UNPARSED} if item.said is None else item.said for item in items]
        if rules.level == "document":
            names = [item.document for item in items]
            gold, said = (_by_document(names, sets) for sets in (gold, said))
        if rules.empty_is_a_class:
            gold, said = ([x or {EMPTY} for x in sets] for sets in (gold, said))
        return _METRICS[rules.metric](gold, said)

    def constant_answers(self) -> dict[str, frozenset[str]]:
        """The answer without labels, and each label alone."""
        return {EMPTY: frozenset(), **{label: frozenset({label}) for label in self.labels}}

    def shown(self, labels: AbstractSet[str] | None) -> tuple[str, ...]:
        """The labels, or a word for none of them and for an unreadable answer."""
        return (UNPARSED,) if labels is None else tuple(labels) or (NO_LABEL,)

    def shown_classes(self) -> tuple[str, ...]:
        """The labels, and the words for none."""
        return (*self.labels, NO_LABEL, UNPARSED)

    def confusion(self, items: Sequence[Answered]) -> Confusion:
        """Counts: for each label a row of found, missed and false alarms."""
        # An unreadable answer finds no label and raises no label's alarm.
        pairs = [(item.gold, item.said or frozenset()) for item in items]
        counts = [
            [
                sum(label in gold and label in said for gold, said in pairs),
                sum(label in gold and label not in said for gold, said in pairs),
                sum(label not in gold and label in said for gold, said in pairs),
            ]
            for label in self.labels
        ]
        columns = ("found", "missed", "false alarm")
        return Confusion(self.labels, columns, counts, "gold labels, by what became of them")

    def _rules(self, convention: str | None) -> Convention:
        assert convention is not None
        return self.rules[convention]


def _by_document(
    names: Sequence[str], label_sets: Sequence[AbstractSet[str]]
) -> list[AbstractSet[str]]:
    """The union of the label sets of each document, in the order of the first appearance."""
    union: dict[str, AbstractSet[str]] = {}
    for name, labels in zip(names, label_sets, strict=True):
        union[name] = union.get(name, frozenset()) | labels
    return list(union.values())
