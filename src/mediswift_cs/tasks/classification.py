"""Classification of any texts into labels of the user's own: one label a text, or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mediswift_cs.errors import ConfigError
from mediswift_cs.tasks.example import Example, collapse
from mediswift_cs.tasks.label_sets import EMPTY, SEPARATOR, Convention, LabelSets
from mediswift_cs.tasks.one_label import OneLabel
from mediswift_cs.tasks.task import Task, refuse_context

ANSWER_STEM = " the answer is"

CONVENTIONS: dict[str, Convention] = {
    "all": Convention("document", False, False, "micro_f1"),
    "labelled": Convention("document", True, False, "example_based_f1"),
}


@dataclass(frozen=True, kw_only=True)
class _Wording(Task):
    """How a text is asked about.

    Attributes:
        labels: every label that a text may have, in the order in which they are reported.
        instruction: what the model reads before the text; empty for nothing.
        question: what it reads after the text; empty for nothing.
    """

    labels: tuple[str, ...]
    instruction: str = ""
    question: str = ""

    title: ClassVar[str] = "classification"
    stem: ClassVar[str] = ANSWER_STEM

    def __post_init__(self) -> None:
        for name in ("instruction", "question"):
            if not isinstance(text := getattr(self, name), str):
                raise ConfigError(f"{name}: got {text!r:.80}, allowed: a text")
        # A manifest keeps a list, and whoever edits it anything.
        if not isinstance(self.labels, list | tuple):
            raise ConfigError(f"labels: got {self.labels!r:.80}, allowed: a list of texts")
        object.__setattr__(self, "labels", tuple(self.labels))
        if len(self.labels) < 2:
            raise ConfigError(
                f"labels: got {', '.join(map(repr, self.labels)) or 'none'}, allowed: at least two"
            )
        for label in self.labels:
            if not isinstance(label, str) or label != collapse(label) or not label:
                raise ConfigError(
                    f"labels: got {label!r:.80}, allowed: text on one line, without white space "
                    "around it"
                )
            if self.labels.count(label) > 1:
                raise ConfigError(f"labels: got {label!r:.80} twice, allowed: once")

    def ask(
        self, identifier: str, document: str, text: str, labels: Sequence[str], answer: str
    ) -> Example:
        """The example of a text whose answer is known."""
        return Example(
            id=identifier,
            document=document,
            head=f"{collapse(self.instruction)} " if self.instruction else "",
            context=collapse(text),
            tail=f" {collapse(self.question)}" if self.question else "",
            target=answer,
            labels=tuple(labels),
        )

    def asked(self, text: str, context: str) -> Example:
        """The text that a user typed, with the task's instruction and question."""
        refuse_context(self, context)
        return self.ask("", "", text, (), "")


@dataclass(frozen=True, kw_only=True)
class SingleLabelClassification(_Wording, OneLabel):
    """One label a text; Hugging Face's ``problem_type`` of the same name."""

    name = "single_label_classification"


@dataclass(frozen=True, kw_only=True)
class MultiLabelClassification(_Wording, LabelSets):
    """Any number of labels a text, none included; scored over all texts, or the labelled ones."""

    name = "multi_label_classification"
    title = "multi-label classification"
    rules = CONVENTIONS
    conventions = tuple(CONVENTIONS)

    def __post_init__(self) -> None:
        _Wording.__post_init__(self)
        LabelSets.__post_init__(self)
        for label in self.labels:
            if SEPARATOR in label or label == EMPTY:
                raise ConfigError(
                    f"labels: got {label!r:.80}, allowed: text without {SEPARATOR!r}, which stands "
                    f"between two labels, and other than {EMPTY!r}, which stands for none"
                )


Classification = SingleLabelClassification | MultiLabelClassification
