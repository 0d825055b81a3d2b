"""Questions without an annotator, from PubMed records (PubMedQA's PQA-A and PQA-U).

PQA-A: a title that is a statement becomes a question with a yes/no answer (:mod:`.statement`).
PQA-U: a title that is a question, with a structured abstract; its answer is not known.
Articles that a benchmark is made of give no question: a model would be trained on its test.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import (
    Lengths,
    PromptSettings,
    counts_text,
    write_prompt_data,
)
from mediswift_cs.tasks.prompt_layout import LossOn, Position
from mediswift_cs.tasks.pubmedqa import answer_text, question_example
from mediswift_cs.tasks.statement import Reason, question_from_title
from mediswift_cs.tokens.manifest import SourceEntry
from mediswift_cs.tokens.splits import check_val_fraction, split_of

TASK = "artificial"
LABELS = ("yes", "no")

_SECTION = re.compile(r"(?P<label>[A-Z][A-Z0-9 ,/&'()-]*): ")
_CONCLUSION = re.compile(r"CONCLU|INTERPRETATION|SIGNIFICANCE|IMPLICATION")
_PUBMED_ID = re.compile(r"pubmed:(?P<pmid>[0-9]+)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

READ, KEPT = "documents_read", "kept"
# As `mediswift prepare` names it.
BENCHMARK = "benchmark_pmid"
NO_ABSTRACT = "no_abstract"
NO_CONTEXT = "abstract_without_a_context"
NOT_STRUCTURED = "abstract_not_structured"
NOT_A_QUESTION = "title_is_no_question"
OVER_LIMIT = "over_the_limit"


class Abstract(NamedTuple):
    """An abstract in two: what a question may be answered from, and its conclusion."""

    contexts: tuple[str, ...]
    conclusion: str
    is_structured: bool


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the documents; ``by_reason`` adds up to ``documents_read``.

    Attributes:
        by_reason: counts, ``kept`` among them.
        by_split: examples of each split.
        by_label: examples of each label.
        lengths: the longest example and the contexts that were cut.
    """

    documents_read: int
    by_reason: dict[str, int]
    by_split: dict[str, int]
    by_label: dict[str, int]
    lengths: Lengths

    def text(self) -> str:
        """The counts for people."""
        parts = (self.by_reason, self.by_split, self.by_label)
        lines = [f"{self.documents_read} documents read"]
        lines += map(counts_text, parts)
        return "\n".join([*lines, self.lengths.summary()])


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


def artificial_example(document: Document, *, contrast: bool = False) -> Example | str:
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
    return with_label(unknown, None)


def with_label(example: Example, label: str | None) -> Example:
    """The same question with this answer; None for an unknown one."""
    return Example(
        id=example.id,
        document=example.document,
        head=example.head,
        context=example.context,
        tail=example.tail,
        target="" if label is None else answer_text(label),
        labels=() if label is None else (label,),
    )


def documents_outside_benchmarks(
    documents: Iterable[Document], counts: Counter[str]
) -> Iterator[Document]:
    """The documents whose PMID is in no benchmark; ``counts`` has all that are read and the rest.

    A full text without a PMID cannot be told and is let through.
    """
    blocked = benchmark_pmids()
    for document in documents:
        counts[READ] += 1
        if _pmids_of(document) & blocked:
            counts[BENCHMARK] += 1
        else:
            yield document


def _pmids_of(document: Document) -> set[int]:
    """What the document's fields and its id say, which may come from a file of the user's own."""
    match = _PUBMED_ID.fullmatch(document.id)
    stated = (str(document.pmid), match["pmid"] if match else "")
    return {int(text) for text in stated if text.isdecimal()}


def check_limit(limit: int | None) -> None:
    """Raise ConfigError for a limit that leaves no question."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1 question, got {limit}")


def make_examples(
    documents: Iterable[Document],
    make: Callable[[Document], Example | str],
    counts: Counter[str],
    limit: int | None = None,
) -> Iterator[Example]:
    """The examples of the documents that give one, ``limit`` at most; ``counts`` says the rest.

    Raises:
        ConfigError: ``limit`` is below 1.
    """
    check_limit(limit)
    for document in documents_outside_benchmarks(documents, counts):
        made = make(document)
        if isinstance(made, str):
            counts[made] += 1
        elif limit is not None and counts[KEPT] >= limit:
            counts[OVER_LIMIT] += 1
        else:
            counts[KEPT] += 1
            yield made


def write_examples(
    documents: Iterable[Document],
    tokenizer_file: Path,
    output: Path,
    *,
    max_sequence_length: int,
    num_virtual_tokens: int,
    val_fraction: float,
    limit: int | None = None,
    position: Position = "infix",
    loss_on: LossOn = "target",
    vocab_size: int | None = None,
    contrast: bool = True,
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> Counts:
    """Write artificial yes/no questions as a prompt data set with the splits train and val.

    Args:
        val_fraction: share of the documents that goes to ``val``, by a hash of their ids.
        limit: examples at most.
        contrast: see :func:`artificial_example`; without it nearly every answer is "yes".

    Raises:
        ConfigError: a setting is out of its range.
        DataError: no question at all, a split without one, or ``output`` cannot be written.
    """

    def make(document: Document) -> Example | str:
        return artificial_example(document, contrast=contrast)

    check_val_fraction(val_fraction)
    counts: Counter[str] = Counter({READ: 0, KEPT: 0})
    return write_questions(
        make_examples(documents, make, counts, limit),
        counts,
        tokenizer_file,
        output,
        PromptSettings(
            max_sequence_length=max_sequence_length,
            num_virtual_tokens=num_virtual_tokens,
            position=position,
            loss_on=loss_on,
            vocab_size=vocab_size,
        ),
        val_fraction=val_fraction,
        task=TASK,
        task_options={"contrast": contrast, "labels": list(LABELS)},
        labels=LABELS,
        sources=sources,
        overwrite=overwrite,
    )


def write_questions(
    examples: Iterable[Example],
    counts: Counter[str],
    tokenizer_file: Path,
    output: Path,
    settings: PromptSettings,
    *,
    val_fraction: float,
    task: str,
    task_options: Mapping[str, Any],
    labels: tuple[str, ...],
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> Counts:
    """Split questions by a hash of their document's id and write them.

    Args:
        counts: filled while ``examples`` is read; what became of the documents.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: no question at all, a split without one, or ``output`` cannot be written.
    """
    names = ("train", "val") if val_fraction else ("train",)
    splits: dict[str, list[Example]] = {name: [] for name in names}
    for example in examples:
        splits[split_of(example.document, val_fraction)].append(example)
    if not counts[KEPT]:
        raise DataError(f"no title gave a question, got {counts_text(counts)}")
    _, lengths = write_prompt_data(
        splits,
        tokenizer_file,
        output,
        settings,
        task=task,
        task_options=task_options,
        counts=counts,
        sources=sources,
        answers=[answer_text(label) for label in labels],
        overwrite=overwrite,
    )
    by_label = Counter(label for items in splits.values() for e in items for label in e.labels)
    return Counts(
        documents_read=counts[READ],
        by_reason={reason: number for reason, number in counts.items() if reason != READ},
        by_split={name: len(items) for name, items in splits.items()},
        by_label=dict(by_label),
        lengths=lengths,
    )
