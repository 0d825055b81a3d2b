"""Where texts come from: documents files, and what their manifests say of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mediswift_cs.corpora import documents_file
from mediswift_cs.corpora.document import SourceEntry, check_unicode
from mediswift_cs.corpora.files import describe_files, find_files


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the id that decides its split."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Texts with what identifies them.

    Attributes:
        entries: the inputs, for the manifest.
        read: makes a new iterator over all texts.
        options: settings that change what is read, for the manifest.
        manifests: what the manifests of the inputs say of their documents.
        unguarded: names of the inputs of which nothing says that benchmarks were kept out of them.
        num_expected: number of texts where it is known beforehand.
    """

    entries: tuple[SourceEntry, ...]
    read: Callable[[], Iterator[Text]]
    options: Mapping[str, Any] = field(default_factory=dict)
    manifests: tuple[Mapping[str, Any], ...] = ()
    unguarded: tuple[str, ...] = ()
    num_expected: int | None = None

    def __iter__(self) -> Iterator[Text]:
        for text in self.read():
            check_unicode(text.text, f"text of document {text.id}")
            yield text


def texts_of_documents(paths: Iterable[Path]) -> Iterator[Text]:
    """The texts of documents files, in their order."""
    for path in paths:
        for document in documents_file.read_documents(path):
            yield Text(document.id, document.text)


def documents_source(inputs: Sequence[Path]) -> TextSource:
    """Texts of ``*.jsonl.zst`` files that ``mediswift documents`` wrote, or of folders of them.

    Raises:
        DataError: an input does not exist or cannot be read.
    """
    files = describe_files(find_files(inputs, documents_file.SUFFIXES))
    entries = tuple(file.entry() for file in files)
    found = [documents_file.read_documents_manifest(file.path) for file in files]
    manifests = tuple(manifest for manifest in found if manifest is not None)
    numbers = [int(manifest["counts"]["kept"]) for manifest in manifests]

    return TextSource(
        entries=entries,
        read=partial(texts_of_documents, [file.path for file in files]),
        manifests=manifests,
        unguarded=tuple(
            entry.path
            for entry, manifest in zip(entries, found, strict=True)
            if not documents_file.is_guarded(manifest)
        ),
        num_expected=sum(numbers) if len(numbers) == len(files) else None,
    )
