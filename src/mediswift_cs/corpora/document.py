"""The unit that every corpus is turned into, and what it came from."""

from dataclasses import dataclass
from typing import ClassVar

from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import NO_OTHER_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text of a corpus.

    Attributes:
        id: unique over all corpora, as ``pubmed:12345``; it decides the split and stays the same
            when the record is revised.
        text: title and abstract (or body), cleaned.
        source: name of the file it was read from.
        licence: the licence or copyright statement of the record itself, None where it has none.
        language: codes as the record states them (PubMed: ISO 639-2/B), in its order.
        publication_types: names as the record states them.
        version: PubMed's version of the record, or PMC's of the article.
        licence_class: ``commercial``, ``non-commercial`` or ``other``, for full texts.
        pmid: PubMed's number of the article, where it has one.
        year: of publication.
        journal: its title, abbreviated where the source does.
    """

    id: str
    text: str
    source: str
    licence: str | None = None
    language: tuple[str, ...] = ()
    publication_types: tuple[str, ...] = ()
    version: int = 1
    licence_class: str | None = None
    pmid: int | None = None
    year: int | None = None
    journal: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceEntry:
    """One input, as manifests name it; ``bytes`` and ``md5`` are None for what is no local file."""

    __pydantic_config__: ClassVar[dict[str, str]] = NO_OTHER_KEYS

    path: str
    bytes: int | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", recorded_name(self.path))


def check_unicode(text: str, what: str) -> None:
    """Raise DataError where ``text`` holds half a surrogate pair.

    JSON can say such a thing, but no tokenizer takes it and no file can hold it.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} is not valid Unicode: {error.reason} at character {error.start}"
        ) from error


def recorded_name(name: str) -> str:
    """A file's name as documents and manifests record it: bytes that are no UTF-8 become ``?``."""
    return name.encode("utf-8", "replace").decode("utf-8")
