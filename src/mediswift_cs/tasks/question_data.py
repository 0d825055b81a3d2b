"""From a stream of documents to a prompt data set of questions about them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document, SourceEntry
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import (
    Lengths,
    PromptSettings,
    counts_text,
    write_prompt_data,
)
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.splits import check_val_fraction, split_of

# A document's question, or the reason why it gives none.
QuestionMaker = Callable[[Document], Example | str]

READ, KEPT = "documents_read", "kept"
# As `mediswift prepare` names it.
BENCHMARK = "benchmark_pmid"
OVER_LIMIT = "over_the_limit"

_PUBMED_ID = re.compile(r"pubmed:(?P<pmid>[0-9]+)")


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
        """The counts as lines for a terminal."""
        parts = (self.by_reason, self.by_split, self.by_label)
        lines = [f"{self.documents_read} documents read"]
        lines += map(counts_text, parts)
        return "\n".join([*lines, self.lengths.summary()])


def write_questions(
    documents: Iterable[Document],
    make: QuestionMaker,
    tokenizer_file: Path,
    output: Path,
    settings: PromptSettings,
    *,
    task: Task,
    val_fraction: float,
    limit: int | None,
    answer: Callable[[Iterator[Example]], Iterator[Example]],
    sources: tuple[SourceEntry, ...],
    overwrite: bool,
) -> Counts:
    """Write the questions that documents give, with the splits train and val.

    Args:
        make: the question of a document, or why it gives none.
        val_fraction: share of the documents that goes to ``val``, by a hash of their ids.
        limit: questions at most.
        answer: puts answers to the questions, where ``make`` leaves them open.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: no question at all, a split without one, or ``output`` cannot be written.
    """
    check_val_fraction(val_fraction)
    counts: Counter[str] = Counter({READ: 0, KEPT: 0})
    splits: dict[str, list[Example]] = {"train": [], **({"val": []} if val_fraction else {})}
    for example in answer(make_examples(documents, make, counts, limit)):
        splits[split_of(example.document, val_fraction)].append(example)
    if not counts[KEPT]:
        raise DataError(f"no title gave a question, got {counts_text(counts)}")
    _, lengths = write_prompt_data(
        splits,
        tokenizer_file,
        output,
        settings,
        task=task,
        counts=counts,
        sources=sources,
        overwrite=overwrite,
    )
    return Counts(
        documents_read=counts[READ],
        by_reason={reason: number for reason, number in counts.items() if reason != READ},
        by_split={name: len(items) for name, items in splits.items()},
        by_label=Counter(x for items in splits.values() for e in items for x in e.labels),
        lengths=lengths,
    )


def make_examples(
    documents: Iterable[Document],
    make: QuestionMaker,
    counts: Counter[str],
    limit: int | None,
) -> Iterator[Example]:
    """The examples of the documents that give one, ``limit`` at most; ``counts`` says the rest.

    Raises:
        ConfigError: ``limit`` is below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: got {limit}, allowed: 1 question or more")
    for document in documents_outside_benchmarks(documents, counts):
        made = make(document)
        if isinstance(made, str):
            counts[made] += 1
        elif limit is not None and counts[KEPT] >= limit:
            counts[OVER_LIMIT] += 1
        else:
            counts[KEPT] += 1
            yield made


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
