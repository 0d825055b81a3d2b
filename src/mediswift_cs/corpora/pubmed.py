"""PubMed's XML (``PubmedArticleSet``, plain or gzip), read as a stream of records.

Follows NLM's PubMed DTD: MedlineCitation/PMID and Article/{ArticleTitle, Abstract, Language,
PublicationTypeList, VernacularTitle}. Each element is freed once it is read, so memory does not
grow with the file. Entities are never expanded and nothing is fetched.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from lxml import etree

from mediswift_cs.corpora.clean import clean_line
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.markup import element_text
from mediswift_cs.errors import DataError

SUFFIXES = (".xml", ".xml.gz")

# PMIDs have one to eight digits (NLM's DTD).
MAX_PMID = 99_999_999

_ROOT = "PubmedArticleSet"
_RECORDS = ("PubmedArticle", "PubmedBookArticle", "DeleteCitation")
_CHUNK = 1 << 16
_LONGEST_START = 1 << 20
_PARSER_OPTIONS: dict[str, Any] = {
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One PubmedArticle or PubmedBookArticle.

    Attributes:
        pmid: None when it is missing or no number from 1 to 99,999,999.
        title: ArticleTitle, or VernacularTitle where that says "[Not Available]".
        abstract: one line a section, ``LABEL: text`` where the section has a label.
        copyright: CopyrightInformation of the abstract.
        is_book: a PubmedBookArticle, of which no more than this is read.
    """

    pmid: int | None
    version: int = 1
    title: str = ""
    abstract: str = ""
    languages: tuple[str, ...] = ()
    publication_types: tuple[str, ...] = ()
    is_retracted: bool = False
    copyright: str | None = None
    is_book: bool = False

    def to_document(self, source: str) -> Document:
        """Title and abstract as one text, the title on the first line."""
        return Document(
            id=f"pubmed:{self.pmid}",
            text="\n".join(part for part in (self.title, self.abstract) if part),
            source=source,
            licence=self.copyright,
            language=self.languages,
            publication_types=self.publication_types,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """A PMID that NLM's DeleteCitation takes back."""

    pmid: int
    version: int


def read_pubmed(
    path: Path, on_bytes: Callable[[int], object] | None = None
) -> Iterator[Record | Deletion]:
    """Yield the records and deletions of one file, in its order.

    Args:
        path: ``.xml`` or ``.xml.gz``; the content decides which, not the name.
        on_bytes: called with the number of bytes of the file each time that some were read.

    Raises:
        DataError: unreadable, cut short, not well-formed, not UTF-8 where it says so, another
            kind of XML, or with entities of its own.
    """
    try:
        with path.open("rb") as raw:
            yield from _parse(_chunks(raw, on_bytes), path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or not a gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except etree.XMLSyntaxError as error:
        raise DataError(f"{path} is not well-formed XML: {_one_line(error)}") from error


def _one_line(error: etree.XMLSyntaxError) -> str:
    return clean_line(str(error.msg))


def _chunks(raw: IO[bytes], on_bytes: Callable[[int], object] | None) -> Iterator[bytes]:
    magic = raw.read(len(_GZIP_MAGIC))
    raw.seek(0)
    stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if magic == _GZIP_MAGIC else raw  # type: ignore[assignment]
    position = 0
    while chunk := stream.read(_CHUNK):
        yield chunk
        if on_bytes is not None:
            on_bytes(raw.tell() - position)
            position = raw.tell()


def _parse(chunks: Iterator[bytes], path: Path) -> Iterator[Record | Deletion]:
    start = _read_start(chunks, path)
    # "internal" makes a reference to an undefined entity an error (False would keep it as a node);
    # _read_start has refused files that define any, so nothing is ever expanded.
    parser = etree.XMLPullParser(
        events=("end",), tag=_RECORDS, resolve_entities="internal", **_PARSER_OPTIONS
    )
    for chunk in chain([start], chunks):
        parser.feed(chunk)
        yield from _records(parser, path)
    root = parser.close()
    yield from _records(parser, path)
    for element in root:
        _check_place(element, path)


def _read_start(chunks: Iterator[bytes], path: Path) -> bytes:
    """The bytes up to some place after the root's tag, once that has been looked at.

    A parser of its own, since one that watches for every element's start is slow.
    """
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, **_PARSER_OPTIONS)
    start = b""
    for chunk in chunks:
        start += chunk
        parser.feed(chunk)
        if _check_root(parser, path):
            return start
        if len(start) > _LONGEST_START:
            raise DataError(f"{path} has no <{_ROOT}> in its first {len(start)} bytes")
    raise DataError(f"{path} holds no XML element, expected <{_ROOT}>")


def _check_root(parser: etree.XMLPullParser, path: Path) -> bool:
    for _, root in parser.read_events():
        if root.tag != _ROOT:
            raise DataError(f"{path} is other XML: its root is <{root.tag}>, expected <{_ROOT}>")
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is not None and any(True for _ in dtd.iterentities()):
            raise DataError(f"{path} defines entities of its own, which PubMed's files never do")
        return True
    return False


def _records(parser: etree.XMLPullParser, path: Path) -> Iterator[Record | Deletion]:
    for _, element in parser.read_events():
        _check_place(element, path)
        if element.tag == "DeleteCitation":
            yield from _deletions(element, path)
        elif element.tag == "PubmedBookArticle":
            yield Record(pmid=None, is_book=True)
        else:
            yield _record(element)
        # Its own node is still the parser's; the emptied ones before it can go.
        element.clear(keep_tail=False)
        while (before := element.getprevious()) is not None:
            _check_place(before, path)
            element.getparent().remove(before)


def _check_place(element: etree._Element, path: Path) -> None:
    parent = element.getparent()
    if element.tag not in _RECORDS or parent is None or parent.tag != _ROOT:
        where = "at the top" if parent is None else f"in <{parent.tag}>"
        raise DataError(f"{path} has <{element.tag}> {where}, which is not PubMed XML")


def _record(article: etree._Element) -> Record:
    citation = article.find("MedlineCitation")
    pmid_element = citation.find("PMID") if citation is not None else None
    pmid = None if pmid_element is None else _pmid(pmid_element)
    if citation is None or pmid_element is None or pmid is None:
        return Record(pmid=None)
    version = _version(pmid_element)
    content = citation.find("Article")
    if content is None:
        return Record(pmid=pmid, version=version)
    types = tuple(clean_line(element_text(e)) for e in content.iterfind("PublicationTypeList/*"))
    abstract = content.find("Abstract")
    return Record(
        pmid=pmid,
        version=version,
        title=_title(content),
        abstract="" if abstract is None else _abstract(abstract),
        languages=tuple(clean_line(element_text(e)) for e in content.iterfind("Language")),
        publication_types=types,
        is_retracted="Retracted Publication" in types or _has_retraction(citation),
        copyright=None if abstract is None else _optional_line(abstract, "CopyrightInformation"),
    )


def _deletions(element: etree._Element, path: Path) -> Iterator[Deletion]:
    for pmid_element in element.iterfind("PMID"):
        pmid = _pmid(pmid_element)
        if pmid is None:
            raise DataError(
                f"{path} has {pmid_element.text!r} as a PMID in DeleteCitation, expected a number"
            )
        yield Deletion(pmid, _version(pmid_element))


def _pmid(element: etree._Element) -> int | None:
    text = (element.text or "").strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 8 else 0
    return number or None


def _version(element: etree._Element) -> int:
    text = element.get("Version", "1").strip()
    return int(text) if text.isascii() and text.isdigit() else 1


def _title(content: etree._Element) -> str:
    title = _optional_line(content, "ArticleTitle") or ""
    if not title.strip("[].") or title.strip("[].") == "Not Available":
        return _optional_line(content, "VernacularTitle") or ""
    return title


def _abstract(abstract: etree._Element) -> str:
    sections = []
    for section in abstract.iterfind("AbstractText"):
        text = clean_line(element_text(section))
        label = clean_line(section.get("Label", ""))
        if text and label and label != "UNLABELLED":
            text = f"{label}: {text}"
        if text:
            sections.append(text)
    return "\n".join(sections)


def _has_retraction(citation: etree._Element) -> bool:
    notes = citation.iterfind("CommentsCorrectionsList/CommentsCorrections")
    return any(note.get("RefType") == "RetractionIn" for note in notes)


def _optional_line(parent: etree._Element, tag: str) -> str | None:
    element = parent.find(tag)
    return None if element is None else clean_line(element_text(element)) or None
