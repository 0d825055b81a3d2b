"""What a task is to the rest of the package: its answers, how they are read, how they count.

A task is a small value that holds the options of one data set. Its options are kept in the data
set's manifest, from which :func:`mediswift_cs.tasks.registry.find_task` makes it again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from typing import Any, ClassVar, NamedTuple, Self

from mediswift_cs.errors import ConfigError
from mediswift_cs.tasks.example import Example, collapse

# How an answer without labels, and one that could not be read, are shown.
NO_LABEL = "(none)"
UNPARSED = "(unparsed)"


class Answered(NamedTuple):
    """One item of an evaluation with the answer that it was given.

    Attributes:
        document: the document that the item is part of.
        gold: the labels of the item.
        said: the labels of the answer; None where it could not be read.
    """

    document: str
    gold: frozenset[str]
    said: frozenset[str] | None


class Step(NamedTuple):
    """What may follow in an answer of several labels.

    Attributes:
        text: what the answer goes on with.
        label: the label that it adds; None for the answer without labels.
        goes_on: whether another label follows.
    """

    text: str
    label: str | None
    goes_on: bool


class Confusion(NamedTuple):
    """Counts of answers by row and column; ``axis`` says what the columns are."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: list[list[int]]
    axis: str


class Task(ABC):
    """One task: a frozen dataclass, whose fields are the options that a manifest keeps.

    A subclass of :class:`.OneLabel` or :class:`.LabelSets` gives, as class attributes or fields:

    Attributes:
        name: what the manifest and ``--task`` call it.
        title: what messages call it.
        labels: every label that an answer may have, in their order.
        stem: what all answers begin with, the first space included.
        has_label_sets: whether an item may have several labels or none.
        conventions: the names of the ways to score it, the default first; empty where there is one.
        words: what stands for a text that is asked about and for its context where none is given.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    labels: tuple[str, ...]
    stem: ClassVar[str]
    has_label_sets: ClassVar[bool] = False
    conventions: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, str]] = ("TEXT", "")
    # That the concrete classes are dataclasses.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """The task that :meth:`options` described.

        Raises:
            ConfigError: an option is out of its range.
        """
        return cls(**{f.name: options[f.name] for f in fields(cls) if f.name in options})

    def options(self) -> dict[str, Any]:
        """What a manifest keeps of the task beside its name."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        known = {name: value for name, value in own.items() if value is not None}
        return {**known, "labels": list(self.labels)}

    @abstractmethod
    def asked(self, text: str, context: str) -> Example:
        """The item that asks about a text that a user typed; its answer is not known.

        Args:
            context: what a question is to be answered from; empty for nothing.

        Raises:
            ConfigError: a context, where the task asks about one text.
        """

    @abstractmethod
    def check_example(self, example: Example) -> None:
        """Raise DataError where the labels of an example are none that this task has."""

    @abstractmethod
    def answer_text(self, labels: Sequence[str]) -> str:
        """The sentence that states the labels, with the space that it begins with."""

    def wording(self) -> Example:
        """An item whose texts are words in capitals: how the task asks, and how it is answered."""
        labels = self.labels[:1]
        return replace(self.asked(*self.words), target=self.answer_text(labels), labels=labels)

    @abstractmethod
    def longest_answers(self) -> list[str]:
        """Answers of which one is the longest, in the tokens of whatever tokenizer."""

    @abstractmethod
    def parse_answer(self, text: str) -> tuple[str, ...] | None:
        """The labels that a generated text states; None unless it is exactly such a sentence."""

    def next_steps(self, chosen: Sequence[str]) -> list[Step]:
        """What may follow after these labels in an answer, for a task with label sets."""
        raise NotImplementedError

    def check_convention(self, convention: str | None) -> None:
        """Raise ConfigError for a convention that the task or its data cannot serve."""
        assert convention is None

    @abstractmethod
    def metric(self, convention: str | None) -> str:
        """The name of the main score."""

    def counts_document(self, gold: AbstractSet[str], convention: str | None) -> bool:
        """Whether a document with these labels counts in the score."""
        return True

    @abstractmethod
    def score(self, items: Sequence[Answered], convention: str | None) -> float:
        """The main score of items that count."""

    def other_scores(self, items: Sequence[Answered]) -> dict[str, float]:
        """Scores that are told beside the main one."""
        return {}

    @abstractmethod
    def constant_answers(self) -> dict[str, frozenset[str]]:
        """The answers that a baseline may always give, by the name that a report calls them."""

    @abstractmethod
    def shown(self, labels: AbstractSet[str] | None) -> tuple[str, ...]:
        """The classes that an answer is counted under in a distribution."""

    @abstractmethod
    def shown_classes(self) -> tuple[str, ...]:
        """Every class of a distribution, ``UNPARSED`` last."""

    @abstractmethod
    def confusion(self, items: Sequence[Answered]) -> Confusion:
        """Counts of right and wrong answers."""

    def files_to_hand_in(self, said: Mapping[str, str | None]) -> dict[str, str | None]:
        """Files for a leaderboard, by name; None for one that an unreadable answer forbids.

        Args:
            said: the first label of the answer for each document.
        """
        return {}


def refuse_context(task: Task, context: str) -> None:
    """Raise ConfigError for a context of a text that is itself what is asked about."""
    if context:
        raise ConfigError(
            f"--context: got {context!r:.40}, allowed: nothing, as {task.title} asks about the "
            f"text alone"
        )


def sentence(stem: str, statement: str) -> str:
    """The sentence of an answer: its stem, and what it states."""
    return f"{stem} {statement}."


def stated(stem: str, text: str) -> str | None:
    """What a generated answer states after its stem; None unless it is just such a sentence."""
    text, start = collapse(text), f"{collapse(stem)} "
    if not text.startswith(start) or not text.endswith("."):
        return None
    return text[len(start) : -1]
