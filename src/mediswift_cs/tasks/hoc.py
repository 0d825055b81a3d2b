"""Hallmarks of Cancer (Baker et al., 2016): ten labels, any number of them a document.

Four conventions of scoring are in use and give different numbers for the same predictions, so no
score is ever given without the name of its convention.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.errors import ConfigError
from mediswift_cs.storage.read import read_text
from mediswift_cs.tasks.example import Example, check_no_overlap, collapse
from mediswift_cs.tasks.label_sets import Convention, LabelSets, state_labels
from mediswift_cs.tasks.task import refuse_context

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
SPLIT_PARTS: dict[str, tuple[str, ...]] = {
    "cambridge": ("train", "devel", "test"),
    "biogpt": ("train", "test"),
}

ANSWER_STEM = " the type of this document is"

CONVENTIONS: dict[str, Convention] = {
    "blurb": Convention("document", False, False, "micro_f1"),
    "blue": Convention("document", True, False, "example_based_f1"),
    "sentence": Convention("sentence", False, False, "micro_f1"),
    "biogpt": Convention("sentence", True, True, "micro_f1"),
}


@dataclass(frozen=True, kw_only=True)
class HallmarksOfCancer(LabelSets):
    """The ten hallmarks, of documents or of sentences.

    Attributes:
        hoc_split: the split of the data, a key of SPLIT_PARTS; None for examples of no split.
    """

    hoc_split: str | None = None

    name = "hoc"
    title = "HoC"
    labels = LABELS
    stem = ANSWER_STEM
    rules = CONVENTIONS
    conventions = tuple(CONVENTIONS)

    def asked(self, text: str, context: str) -> Example:
        """The item that asks about a text that a user typed."""
        refuse_context(self, context)
        document = HallmarksDocument(pmid="", sentences=(), sentence_labels=())
        return _example("", document, text, frozenset())

    def examples(self, pmid: str, document: "HallmarksDocument") -> list[Example]:
        """One example for the document, or one for each sentence."""
        if self.level == "document":
            text = " ".join(document.sentences)
            return [_example(pmid, document, text, document.labels)]
        pairs = zip(document.sentences, document.sentence_labels, strict=True)
        return [
            _example(f"{pmid}.{index}", document, sentence, labels)
            for index, (sentence, labels) in enumerate(pairs)
        ]


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
    return state_labels(ANSWER_STEM, labels, LABELS)


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
    for part in SPLIT_PARTS[name]:
        path = folder / "splits" / f"{name}_{part}.txt"
        parts["val" if part == "devel" else part] = tuple(read_text(path, encoding="ascii").split())
    check_no_overlap(parts, str(folder))
    return parts


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
