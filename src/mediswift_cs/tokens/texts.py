"""Where texts come from: documents files, or any data set that ``datasets`` reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs.corpora import documents_file
from mediswift_cs.corpora.document import check_unicode
from mediswift_cs.corpora.files import InputFile, describe_files, find_files
from mediswift_cs.tokens.manifest import SourceEntry


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
        manifests: what the documents stage recorded of the inputs.
        num_expected: number of texts where it is known beforehand.
    """

    entries: tuple[SourceEntry, ...]
    read: Callable[[], Iterator[Text]]
    options: Mapping[str, Any] = field(default_factory=dict)
    manifests: tuple[Mapping[str, Any], ...] = ()
    num_expected: int | None = None

    def __iter__(self) -> Iterator[Text]:
        for text in self.read():
            check_unicode(text.text, f"text of document {text.id}")
            yield text


def source_entries(files: Iterable[InputFile]) -> tuple[SourceEntry, ...]:
    """What a manifest says of input files."""
    return tuple(SourceEntry(path=f.name, bytes=f.num_bytes, md5=f.md5) for f in files)


def documents_source(inputs: Sequence[Path]) -> TextSource:
    """Texts of ``*.jsonl.zst`` files that ``mediswift documents`` wrote, or of folders of them.

    Raises:
        DataError: an input does not exist or cannot be read.
    """
    files = describe_files(find_files(inputs, documents_file.SUFFIXES))
    found = [documents_file.read_documents_manifest(file.path) for file in files]
    manifests = tuple(manifest for manifest in found if manifest is not None)
    numbers = [int(manifest["counts"]["kept"]) for manifest in manifests]

    def read() -> Iterator[Text]:
        for file in files:
            for document in documents_file.read_documents(file.path):
                yield Text(document.id, document.text)

    return TextSource(
        entries=source_entries(files),
        read=read,
        manifests=manifests,
        num_expected=sum(numbers) if len(numbers) == len(files) else None,
    )
