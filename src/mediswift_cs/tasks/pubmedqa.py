"""PubMedQA (Jin et al., 2019): yes / no / maybe questions about PubMed abstracts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks.example import Example, collapse
from mediswift_cs.tasks.one_label import OneLabel
from mediswift_cs.tasks.pubmedqa_split import is_official_test_set
from mediswift_cs.tasks.task import sentence

LABELS = ("yes", "no", "maybe")
LEADERBOARD_FILE = "pubmedqa_leaderboard.json"

# Whether the record's conclusion (LONG_ANSWER) may be read. The paper's setting is the first.
Mode = Literal["reasoning-required", "reasoning-free"]
MODES: tuple[Mode, ...] = get_args(Mode)

ANSWER_STEM = " the answer to the question given the context is"


class Questions(OneLabel):
    """What every question about an abstract has in common: BioGPT's wording of the answers."""

    stem = ANSWER_STEM
    words = ("QUESTION", "CONTEXT")

    def asked(self, text: str, context: str) -> Example:
        """The question that a user typed, about a context."""
        asked = question_example("", question=text, contexts=[context], label="")
        return replace(asked, target="", labels=())

    @property
    def readable(self) -> tuple[str, ...]:
        """What PubMedQA's answers are, also where a task has only two of them."""
        return LABELS


@dataclass(frozen=True, kw_only=True)
class PubMedQA(Questions):
    """The expert-labelled questions, or questions of their kind that a model has answered.

    Attributes:
        fold: of the official split; None for questions that are not in it.
        pseudo_labelled_by: the checkpoint that answered the questions; None for experts.
    """

    mode: Mode = "reasoning-required"
    fold: int | None = None
    pseudo_labelled_by: str | None = None

    name = "pubmedqa"
    title = "PubMedQA"
    labels = LABELS

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode of PubMedQA: got {self.mode!r}, allowed: {', '.join(MODES)}")

    def examples(self, pmid: str, record: Mapping[str, Any]) -> list[Example]:
        """The one example of a labelled record.

        Raises:
            DataError: reasoning-free, and without a conclusion to read.
        """
        if self.mode == "reasoning-free" and not collapse(record["LONG_ANSWER"]):
            raise DataError(
                f"LONG_ANSWER of record {pmid}: got an empty text, allowed: the conclusion, which "
                "the mode reasoning-free reads"
            )
        example = question_example(
            pmid,
            question=record["QUESTION"],
            contexts=record["CONTEXTS"],
            label=record["final_decision"],
            long_answer=record["LONG_ANSWER"] if self.mode == "reasoning-free" else "",
        )
        return [example]

    def asked(self, text: str, context: str) -> Example:
        """The question that a user typed, about a context.

        Raises:
            ConfigError: models of the mode reasoning-free read a conclusion, which nobody types.
        """
        if self.mode == "reasoning-free":
            raise ConfigError(
                "mode of PubMedQA: got a model of 'reasoning-free', which reads an article's "
                "conclusion, allowed for a typed question: 'reasoning-required'; score this one "
                "with `mediswift evaluate`"
            )
        return super().asked(text, context)

    def wording(self) -> Example:
        """A question about a context, with the conclusion where that is read."""
        conclusion = "CONCLUSION" if self.mode == "reasoning-free" else ""
        without: PubMedQA = replace(self, mode="reasoning-required")
        return replace(super(PubMedQA, without).wording(), tail=_tail(conclusion))

    def files_to_hand_in(self, said: Mapping[str, str | None]) -> dict[str, str | None]:
        """The leaderboard's file, for the official test set with an answer to each question."""
        if not is_official_test_set(said):
            return {}
        if None in said.values():
            return {LEADERBOARD_FILE: None}
        return {LEADERBOARD_FILE: json.dumps(leaderboard_answers(said), indent=1) + "\n"}


def answer_text(label: str) -> str:
    """The sentence that stands for a label, with the space that it begins with."""
    return sentence(ANSWER_STEM, label)


def question_example(
    pmid: str,
    *,
    question: str,
    contexts: Sequence[str],
    label: str,
    long_answer: str = "",
) -> Example:
    """An example in BioGPT's wording; ``long_answer`` is for the reasoning-free mode only."""
    return Example(
        id=pmid,
        document=pmid,
        head=f"question: {collapse(question)} context:",
        context=f" {collapse(' '.join(contexts))}",
        tail=_tail(long_answer),
        target=answer_text(label),
        labels=(label,),
    )


def _tail(conclusion: str) -> str:
    return f" answer: {collapse(conclusion)}" if conclusion else ""


def leaderboard_answers(predicted: Mapping[str, str | None]) -> dict[str, str]:
    """PMID -> answer, the official leaderboard's format.

    Raises:
        DataError: another set of PMIDs than the test set's, or an answer that could not be read.
    """
    if not is_official_test_set(predicted):
        raise DataError(
            f"the leaderboard takes exactly the official test set's 500 PMIDs, got "
            f"{len(predicted)} PMIDs that are not these"
        )
    answers = {pmid: label for pmid, label in predicted.items() if label in LABELS}
    if missing := len(predicted) - len(answers):
        raise DataError(
            f"the leaderboard takes an answer for each PMID, got {missing} that could not be "
            "read; use --method constrained, which always gives one"
        )
    return {pmid: str(label) for pmid, label in answers.items()}
