"""Texts with labels: JSON lines of the user's own, or what NLM's indexers say of PubMed records."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mediswift_cs.corpora.document import recorded_name
from mediswift_cs.corpora.latest import LatestRecords
from mediswift_cs.corpora.pubmed import Deletion, Record, read_pubmed
from mediswift_cs.corpora.selection import Selection
from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import check_keys, read_json_lines

# Where the labels of PubMed records come from.
PubMedLabels = Literal["mesh", "publication_types"]

READ, KEPT = "read", "kept"
NO_LABEL, SEVERAL_LABELS = "no_label", "several_labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """One text and what it is labelled with.

    Attributes:
        where: the file and line, or the record, for errors.
        document: what must not be in two splits, such as a patient or an article.
        split: train, val or test where the input says it.
    """

    where: str
    id: str
    document: str
    text: str
    labels: tuple[str, ...]
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The keys of a JSON line; None: the id is the line's number, the document is the id."""

    text: str = "text"
    label: str = "label"
    id: str | None = None
    document: str | None = None
    split: str | None = None


def read_labelled_lines(
    path: Path, columns: Columns, *, multi_label: bool
) -> Iterator[LabelledText]:
    """The texts of a file of JSON lines, one object a line.

    Args:
        multi_label: labels are a list of strings (or one string), which may be empty.

    Raises:
        DataError: unreadable, or a line lacks a column or has something else in it.
    """
    name = recorded_name(path.name)
    for number, (where, content) in enumerate(read_json_lines(path), start=1):
        wanted = [columns.text, columns.label, columns.id, columns.document, columns.split]
        row = check_keys(content, tuple(key for key in wanted if key is not None), where)
        identifier = f"{name}:{number}" if columns.id is None else _name(row, columns.id, where)
        document = identifier
        if columns.document is not None:
            document = _name(row, columns.document, where)
        yield LabelledText(
            where=where,
            id=identifier,
            document=document,
            text=_text(row, columns.text, where),
            labels=_labels(row[columns.label], f"{where}: {columns.label}", multi_label),
            split=None if columns.split is None else _split(row[columns.split], where),
        )


def _name(row: dict[str, Any], key: str, where: str) -> str:
    value = row[key]
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise DataError(f"{where}: {key}: got {value!r:.80}, allowed: a string or a whole number")
    return str(value)


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key}: got {value!r:.80}, allowed: a text that is not empty")
    return value


def _labels(value: Any, what: str, multi_label: bool) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if (not isinstance(value, str) and not multi_label) or (
        not isinstance(given, list) or not all(isinstance(x, str) and x.strip() for x in given)
    ):
        allowed = "a list of labels (with --multi-label)" if multi_label else "one label, a string"
        raise DataError(f"{what}: got {value!r:.80}, allowed: {allowed}")
    return tuple(dict.fromkeys(label.strip() for label in given))


def _split(value: Any, where: str) -> str:
    if value not in ("train", "val", "test"):
        raise DataError(f"{where}: split: got {value!r:.80}, allowed: train, val or test")
    return str(value)


def read_pubmed_labels(
    files: Iterable[Path],
    kind: PubMedLabels,
    labels: Sequence[str],
    counts: Counter[str],
    *,
    multi_label: bool,
) -> list[LabelledText]:
    """PubMed records with those of ``labels`` that their indexers gave, the newest version of each.

    Args:
        files: PubMed XML, baseline before updates.
        kind: MeSH descriptors (check tags such as Humans are some), or publication types.
        counts: takes in what became of the records, by the reasons of ``mediswift documents``.
        multi_label: a record may have any number of the labels; else exactly one.

    Raises:
        DataError: a file is no PubMed XML.
    """
    selection, latest = Selection(), LatestRecords()
    found: dict[int, LabelledText] = {}
    for path in files:
        for item in read_pubmed(path):
            if isinstance(item, Deletion):
                if latest.delete(item.pmid, item.version):
                    counts["deleted"] += found.pop(item.pmid, None) is not None
                continue
            counts[READ] += 1
            outcome = selection.outcome(item)
            if item.pmid is not None:
                if latest.is_superseded(item.pmid, item.version):
                    counts["superseded"] += 1
                    continue
                latest.add(item.pmid, item.version, written=False)
                counts["superseded"] += found.pop(item.pmid, None) is not None
            chosen = tuple(x for x in labels if x in getattr(item, kind))
            if outcome == KEPT and not multi_label and len(chosen) != 1:
                outcome = SEVERAL_LABELS if chosen else NO_LABEL
            if outcome != KEPT:
                counts[outcome] += 1
                continue
            assert item.pmid is not None
            found[item.pmid] = _labelled_record(item, chosen)
    return list(found.values())


def _labelled_record(record: Record, labels: tuple[str, ...]) -> LabelledText:
    document = record.to_document("")
    return LabelledText(
        where=document.id, id=document.id, document=document.id, text=document.text, labels=labels
    )
