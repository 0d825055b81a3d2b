"""One item of a task: what the model reads, and what it should answer."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mediswift_cs.corpora.document import check_unicode
from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import check_keys, check_strings, read_json_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One item; the model reads ``head + context + tail`` and should go on with ``target``.

    Attributes:
        id: unique within the task, such as a PMID.
        document: the document that the item is part of; splits are disjoint by it.
        head: text that is never cut, such as the question.
        context: text whose end is cut where the whole would be too long.
        tail: text after the context that is never cut.
        target: the answer as text, with the space that it begins with; never cut.
        labels: the answer's labels; empty where the item has none.
    """

    id: str
    document: str
    head: str
    context: str
    tail: str = ""
    target: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("id", "document", "head", "context", "tail", "target"):
            check_unicode(getattr(self, name), f"{name} of example {self.id}")

    @property
    def source(self) -> str:
        """What the model reads, before anything is cut."""
        return self.head + self.context + self.tail


def collapse(text: str) -> str:
    """White space as single spaces."""
    return " ".join(text.split())


def check_no_overlap(splits: Mapping[str, Iterable[str]], source: str) -> None:
    """Raise DataError where a PMID is in two splits of ``source``."""
    owner: dict[str, str] = {}
    for name, pmids in splits.items():
        for pmid in pmids:
            if (other := owner.setdefault(pmid, name)) != name:
                raise DataError(
                    f"splits must not overlap, got PMID {pmid} in both {other!r} and {name!r}, "
                    f"in {source}"
                )


def check_disjoint(splits: Mapping[str, Iterable[Example]]) -> None:
    """Raise DataError where a document is in two splits, or an id occurs twice."""
    owner: dict[str, str] = {}
    for name, examples in splits.items():
        ids: set[str] = set()
        for example in examples:
            if example.id in ids:
                raise DataError(f"the split {name!r} holds {example.id} twice, allowed: once")
            ids.add(example.id)
            other = owner.setdefault(example.document, name)
            if other != name:
                raise DataError(
                    f"splits must not overlap, got document {example.document} in both "
                    f"{other!r} and {name!r}"
                )


def write_examples_file(examples: Iterable[Example], path: Path) -> None:
    """Write JSON lines, one example a line."""
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(asdict(example), ensure_ascii=False) + "\n")


def read_examples_file(path: Path) -> Iterator[Example]:
    """Read what :func:`write_examples_file` wrote.

    Raises:
        DataError: absent, or a line is not an example.
    """
    for where, content in read_json_lines(path):
        yield _example_of(content, f"{where} is not an example")


def _example_of(content: Any, where: str) -> Example:
    keys = tuple(field.name for field in fields(Example))
    values = check_keys(content, keys, f"{where}: it")
    if unknown := sorted(values.keys() - set(keys)):
        raise DataError(f"{where}: got {unknown[0]!r}, allowed: {', '.join(keys)}")
    for key in keys[:-1]:
        if not isinstance(values[key], str):
            raise DataError(f"{where}: {key}: got {values[key]!r:.80}, allowed: a string")
    labels = check_strings(values["labels"], f"{where}: labels")
    return Example(**{**values, "labels": labels})
