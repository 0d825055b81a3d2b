"""Hallmarks of Cancer (Baker et al., 2016): ten labels, any number of them a document.

Four conventions of scoring are in use and give different numbers for the same predictions, so no
score is ever given without the name of its convention.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import metrics
from mediswift_cs.tasks.example import Example, collapse, read_lines
from mediswift_cs.tasks.hoc_corpus import TEXT_FOLDER, is_corpus, read_corpus_document

LABELS = (
    "activating invasion and metastasis",
    "avoiding immune destruction",
    "cellular energetics",
    "enabling replicative immortality",
    "evading growth suppressors",
    "genomic instability and mutation",
    "inducing angiogenesis",
    "resisting cell death",
    "sustaining proliferative signaling",
    "tumor promoting inflammation",
)
EMPTY = "empty"
UNPARSED = "(unparsed)"
SEPARATOR = "|"

Level = Literal["document", "sentence"]
LEVELS: tuple[Level, ...] = ("document", "sentence")

DOCUMENTS_FILE = "hoc_docs.jsonl"
SPLIT_PARTS: dict[str, tuple[str, ...]] = {
    "cambridge": ("train", "devel", "test"),
    "biogpt": ("train", "test"),
}

ANSWER_STEM = " the type of this document is"
_ANSWER = re.compile(r"the type of this document is ([^.]+)\.")


class Convention(NamedTuple):
    """What is counted: which unit, which documents, and how."""

    level: Level
    labelled_only: bool
    empty_is_a_class: bool
    metric: Literal["micro_f1", "example_based_f1"]


CONVENTIONS: dict[str, Convention] = {
    "blurb": Convention("document", False, False, "micro_f1"),
    "blue": Convention("document", True, False, "example_based_f1"),
    "sentence": Convention("sentence", False, False, "micro_f1"),
    "biogpt": Convention("sentence", True, True, "micro_f1"),
}
DEFAULT_CONVENTION = "blurb"


@dataclass(frozen=True, slots=True, kw_only=True)
class HallmarksDocument:
    """One abstract, sentence by sentence."""

    pmid: str
    sentences: tuple[str, ...]
    sentence_labels: tuple[frozenset[str], ...]

    @property
    def labels(self) -> frozenset[str]:
        """The union of the sentences' labels."""
        return frozenset().union(*self.sentence_labels)


def answer_text(labels: Iterable[str]) -> str:
    """The sentence that states the labels in their order, with the space that it begins with."""
    chosen = set(labels)
    return f"{ANSWER_STEM} {SEPARATOR.join(x for x in LABELS if x in chosen) or EMPTY}."


LONGEST_ANSWER = answer_text(LABELS)


def parse_answer(text: str) -> frozenset[str] | None:
    """The labels that a generated sentence states; None unless it is exactly such a sentence."""
    match = _ANSWER.fullmatch(collapse(text))
    if match is None:
        return None
    names = match[1].split(SEPARATOR)
    if names == [EMPTY]:
        return frozenset()
    known = set(names) <= set(LABELS) and len(set(names)) == len(names)
    return frozenset(names) if known else None


def read_documents(path: Path) -> dict[str, HallmarksDocument]:
    """The authors' corpus (a folder with ``text`` and ``labels``), or JSON lines: by PMID.

    JSON lines are ``hoc_docs.jsonl`` or the folder that holds it; each has pmid, sentences and
    sentence_labels (one list of labels a sentence).

    Raises:
        DataError: unreadable, an unknown label, or labels that do not go with the sentences.
    """
    if is_corpus(path):
        return _read_corpus(path)
    path = path / DOCUMENTS_FILE if path.is_dir() else path
    documents: dict[str, HallmarksDocument] = {}
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}, line {number}"
        try:
            document = make_document(json.loads(line), where)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON: {error}") from error
        if document.pmid in documents:
            raise DataError(f"{where} repeats PMID {document.pmid}, allowed: once")
        documents[document.pmid] = document
    if not documents:
        raise DataError(f"{path} holds no document")
    return documents


def _read_corpus(folder: Path) -> dict[str, HallmarksDocument]:
    documents = {}
    for path in sorted((folder / TEXT_FOLDER).glob("*.txt")):
        sentences, labels = read_corpus_document(path)
        content = {"pmid": path.stem, "sentences": sentences, "sentence_labels": labels}
        documents[path.stem] = make_document(content, str(path))
    if not documents:
        raise DataError(f"{folder / TEXT_FOLDER} holds no *.txt file")
    return documents


def make_document(content: Any, where: str) -> HallmarksDocument:
    """A checked document from a JSON object."""
    try:
        pmid, given, label_lists = (content[k] for k in ("pmid", "sentences", "sentence_labels"))
        stated_labels = content.get("labels")
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where} lacks {error}") from error
    if not isinstance(pmid, str | int):
        raise DataError(f"{where}: pmid: got {pmid!r:.80}, allowed: a string or a number")
    sentences = _strings(given, f"{where}: sentences")
    if not isinstance(label_lists, list):
        raise DataError(
            f"{where}: sentence_labels: got {label_lists!r:.80}, allowed: a list of lists"
        )
    what = f"{where}: sentence_labels"
    sentence_labels = tuple(frozenset(_strings(labels, what)) for labels in label_lists)
    pmid = str(pmid)
    document = HallmarksDocument(pmid=pmid, sentences=sentences, sentence_labels=sentence_labels)
    stated = document.labels
    if stated_labels is not None:
        stated = frozenset(_strings(stated_labels, f"{where}: labels"))
    if unknown := sorted((document.labels | stated) - set(LABELS)):
        raise DataError(f"{where}: got label {unknown[0]!r}, allowed: {', '.join(LABELS)}")
    if len(sentences) != len(sentence_labels):
        raise DataError(
            f"{where}: got {len(sentence_labels)} lists of labels for {len(sentences)} sentences"
        )
    if stated != document.labels:
        raise DataError(f"{where}: the labels of PMID {pmid} are not those of its sentences")
    return document


def _strings(value: Any, what: str) -> tuple[str, ...]:
    """A list of strings; DataError for anything else, which ``str`` would make a text of."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"{what}: got {value!r:.80}, allowed: a list of strings")
    return tuple(value)


def read_split(folder: Path, name: str) -> dict[str, tuple[str, ...]]:
    """PMIDs of train, val (cambridge only) and test, from ``splits/{name}_{part}.txt``.

    BioGPT calls its test file "valid": it is the test set here, and nothing is to be selected on
    it.

    Raises:
        ConfigError: an unknown split.
        DataError: a file is missing, or two parts share a PMID.
    """
    if name not in SPLIT_PARTS:
        raise ConfigError(f"split of HoC: got {name!r}, allowed: {', '.join(SPLIT_PARTS)}")
    parts: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for part in SPLIT_PARTS[name]:
        path = folder / "splits" / f"{name}_{part}.txt"
        try:
            pmids = tuple(path.read_text(encoding="ascii").split())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the split in {path}: {error}") from error
        key = "val" if part == "devel" else part
        for pmid in pmids:
            if owner.setdefault(pmid, key) != key:
                raise DataError(
                    f"splits must not overlap, got PMID {pmid} in both {owner[pmid]!r} and "
                    f"{key!r}, in {folder}"
                )
        parts[key] = pmids
    return parts


def examples_of(document: HallmarksDocument, level: Level) -> list[Example]:
    """One example for the document, or one for each sentence."""
    if level not in LEVELS:
        raise ConfigError(f"level of HoC: got {level!r}, allowed: {', '.join(LEVELS)}")
    if level == "document":
        return [_example(document.pmid, document, " ".join(document.sentences), document.labels)]
    pairs = zip(document.sentences, document.sentence_labels, strict=True)
    return [
        _example(f"{document.pmid}.{index}", document, sentence, labels)
        for index, (sentence, labels) in enumerate(pairs)
    ]


def _example(
    identifier: str, document: HallmarksDocument, text: str, labels: AbstractSet[str]
) -> Example:
    return Example(
        id=identifier,
        document=document.pmid,
        head="",
        context=collapse(text),
        target=answer_text(labels),
        labels=tuple(label for label in LABELS if label in labels),
    )


def select(
    documents: Mapping[str, HallmarksDocument], pmids: Iterable[str], level: Level
) -> list[Example]:
    """The examples of these PMIDs; DataError where one has no document."""
    examples: list[Example] = []
    for pmid in pmids:
        if pmid not in documents:
            raise DataError(f"PMID {pmid} of the split is not among the {len(documents)} documents")
        examples += examples_of(documents[pmid], level)
    return examples


def by_document(
    names: Sequence[str], label_sets: Sequence[AbstractSet[str]]
) -> dict[str, frozenset[str]]:
    """The union of the label sets of each document, in the order of the first appearance."""
    union: dict[str, frozenset[str]] = {}
    for name, labels in zip(names, label_sets, strict=True):
        union[name] = union.get(name, frozenset()) | labels
    return union


def score(
    convention: str,
    documents: Sequence[str],
    gold: Sequence[AbstractSet[str]],
    predicted: Sequence[AbstractSet[str] | None],
    level: Level,
) -> float:
    """The score of predictions for documents or sentences in one of CONVENTIONS.

    Args:
        documents: the document of each item. Sentences become documents by union where the
            convention counts documents.
        gold, predicted: the labels of each item. None is an answer that could not be read: it
            counts as one label that is never right, not as the answer without labels.
        level: what an item is.

    Raises:
        ConfigError: an unknown convention, or one that needs sentences where items are documents.
        DataError: no item is left to count.
    """
    if convention not in CONVENTIONS:
        raise ConfigError(
            f"convention of HoC: got {convention!r}, allowed: {', '.join(CONVENTIONS)}"
        )
    rules = CONVENTIONS[convention]
    if rules.level == "sentence" and level == "document":
        raise ConfigError(
            f"the HoC convention {convention!r} counts sentences, got data at document level; "
            "prepare the data with --level sentence"
        )
    true_labels = by_document(documents, gold)
    answers: Sequence[AbstractSet[str]] = [{UNPARSED} if x is None else x for x in predicted]
    if rules.level == "document":
        said = by_document(documents, answers)
        names, gold, answers = list(said), list(true_labels.values()), list(said.values())
    else:
        names = list(documents)
    kept = [i for i, name in enumerate(names) if true_labels[name] or not rules.labelled_only]
    if not kept:
        raise DataError(f"the HoC convention {convention!r} has nothing to count: no labels at all")
    gold, answers = [gold[i] for i in kept], [answers[i] for i in kept]
    if rules.empty_is_a_class:
        gold, answers = ([x or {EMPTY} for x in sets] for sets in (gold, answers))
    function = getattr(metrics, rules.metric)
    return float(function(gold, answers))
