"""Questions without an annotator, from PubMed records (PubMedQA's PQA-A and PQA-U).

PQA-A: a title that is a statement becomes a question with a yes/no answer (:mod:`.statement`).
PQA-U: a title that is a question, with a structured abstract; its answer is not known.
Matching: older titles hardly ever state a result, so PQA-A's rule finds next to nothing in them.
Each abstract is asked about its own title (yes) or about the title of the document before it (no).
It is this project's own task, for trying the pipeline out; no result of it compares with PubMedQA.

Articles that a benchmark is made of give no question: a model would be trained on its test.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from mediswift_cs.corpora.document import Document
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.pubmedqa import Questions, question_example
from mediswift_cs.tasks.question_data import QuestionMaker
from mediswift_cs.tasks.statement import Reason, question_from_title

_SECTION = re.compile(r"(?P<label>[A-Z][A-Z0-9 ,/&'()-]*): ")
_CONCLUSION = re.compile(r"CONCLU|INTERPRETATION|SIGNIFICANCE|IMPLICATION")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

NO_ABSTRACT = "no_abstract"
NO_CONTEXT = "abstract_without_a_context"
NOT_STRUCTURED = "abstract_not_structured"
NOT_A_QUESTION = "title_is_no_question"
FIRST = "no_document_before_it"


@dataclass(frozen=True, kw_only=True)
class ArtificialQuestions(Questions):
    """Yes/no questions that are made of titles by a rule.

    Attributes:
        contrast: every second document whose verb has an opposite is asked for that, and the
            answer is "no"; without it nearly every answer is "yes".
        matching: titles are not turned into questions, but asked whether they belong to a text.
    """

    contrast: bool | None = None
    matching: bool | None = None

    name = "artificial"
    title = "artificial questions"
    labels = ("yes", "no")

    def question_maker(self) -> QuestionMaker:
        """What makes the question of a document, or says why it gives none."""
        if self.matching:
            return title_matcher()
        return lambda document: artificial_example(document, contrast=bool(self.contrast))


class Abstract(NamedTuple):
    """An abstract in two: what a question may be answered from, and its conclusion."""

    contexts: tuple[str, ...]
    conclusion: str
    is_structured: bool


def split_abstract(abstract: str) -> Abstract | None:
    """Contexts and conclusion; None where nothing would be left as a context.

    The conclusion is the section of that name, or the last sentence where there are no sections.
    """
    lines = abstract.split("\n")
    labels = [match["label"] if (match := _SECTION.match(line)) else None for line in lines]
    if len(lines) > 1 and any(label and _CONCLUSION.search(label) for label in labels):
        concluding = [bool(label and _CONCLUSION.search(label)) for label in labels]
        texts = [_SECTION.sub("", line, count=1) for line in lines]
        contexts = tuple(t for t, is_last in zip(texts, concluding, strict=True) if not is_last)
        conclusion = " ".join(t for t, is_last in zip(texts, concluding, strict=True) if is_last)
        return Abstract(contexts, conclusion, True) if contexts else None
    sentences = _SENTENCE_END.split(" ".join(lines))
    if len(sentences) < 2:
        return None
    return Abstract((" ".join(sentences[:-1]),), sentences[-1], False)


def artificial_example(document: Document, *, contrast: bool) -> Example | str:
    """The PQA-A example of a document, or the reason why it gives none.

    With ``contrast``, every second document (by its id) whose verb has an opposite is asked for
    that opposite, and the answer is "no".
    """
    title, _, abstract = document.text.partition("\n")
    if not abstract:
        return NO_ABSTRACT
    digest = hashlib.blake2b(f"contrast {document.id}".encode(), digest_size=1).digest()
    question = question_from_title(title, abstract, contrast=contrast and digest[0] % 2 == 1)
    if isinstance(question, Reason):
        return str(question)
    parts = split_abstract(abstract)
    if parts is None:
        return NO_CONTEXT
    return question_example(
        document.id, question=question.text, contexts=parts.contexts, label=question.label
    )


def unlabelled_question(document: Document) -> Example | str:
    """The PQA-U question of a document, its label still empty, or why it gives none."""
    title, _, abstract = document.text.partition("\n")
    if not abstract:
        return NO_ABSTRACT
    title = title.strip("[]")
    if not title.endswith("?"):
        return NOT_A_QUESTION
    parts = split_abstract(abstract)
    if parts is None:
        return NO_CONTEXT
    if not parts.is_structured:
        return NOT_STRUCTURED
    unknown = question_example(document.id, question=title, contexts=parts.contexts, label="")
    return replace(unknown, target="", labels=())


def title_matcher() -> QuestionMaker:
    """What asks each document whether it goes with a title, its own or the one before it.

    Whether the answer is yes or no follows from a hash of the document's id.
    """
    title_before: str | None = None

    def make(document: Document) -> Example | str:
        nonlocal title_before
        title, _, abstract = document.text.partition("\n")
        is_own = hashlib.blake2b(f"matching {document.id}".encode(), digest_size=1).digest()[0] % 2
        asked = title if is_own else title_before
        title_before = title
        if not abstract:
            return NO_ABSTRACT
        if asked is None:
            return FIRST
        return question_example(
            document.id,
            question=f"is this text about {asked.rstrip('.')}?",
            contexts=[abstract],
            label="yes" if is_own else "no",
        )

    return make
