"""PubMed's XML (``PubmedArticleSet``, plain or gzip), read as a stream of records.

Follows NLM's PubMed DTD: MedlineCitation/PMID and Article/{ArticleTitle, Abstract, Language,
PublicationTypeList, VernacularTitle}. Each element is freed once it is read, so memory does not
grow with the file. Entities are never expanded and nothing is fetched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.notices import (
    PUBLICATION_TYPES,
    REFERENCE_TYPES,
    RETRACTED,
    kind_by_title,
)
from mediswift_cs.corpora.pmid import parse_pmid
from mediswift_cs.corpora.xml_stream import (
    MAX_FILE_BYTES,
    element_text,
    read_chunks,
    read_records,
    xml_errors,
)
from mediswift_cs.errors import DataError

SUFFIXES = (".xml", ".xml.gz")

_BRACKETED = re.compile(r"\[([^\[\]]+)\](\.?)")
_YEAR = re.compile(r"\b(?:1[5-9]|20)[0-9]{2}\b")
# "(ABSTRACT TRUNCATED AT 250 WORDS)": MEDLINE cut abstracts until 2000.
_TRUNCATED = re.compile(r"\s*[(\[]\s*abstract truncated[^)\]]{0,40}[)\]]\s*", re.IGNORECASE)
# The same without the white space, at each of which a search would begin.
_TRUNCATED_BRACKET = re.compile(r"[(\[]\s*abstract truncated", re.IGNORECASE)
# In C, which for paths of several steps is faster than find().
_MESH = etree.XPath("MeshHeadingList/MeshHeading/DescriptorName")
_TYPES = etree.XPath("PublicationTypeList/*")
_LINKS = etree.XPath("CommentsCorrectionsList/CommentsCorrections")
_ABSTRACT_TEXTS = etree.XPath("AbstractText")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One PubmedArticle or PubmedBookArticle.

    Attributes:
        pmid: None when it is missing or no number from 1 to 99,999,999.
        title: ArticleTitle, or VernacularTitle where that says "[Not Available]".
        abstract: one line a section, ``LABEL: text`` where the section has a label.
        notice: the kind of notice that the record is, as :mod:`~.notices` names it, None for an
            article.
        copyright: CopyrightInformation of the abstract.
        year: of publication.
        journal: NLM's abbreviation of its title.
        mesh: descriptor names of its MeSH headings, check tags such as Humans among them.
        is_book: a PubmedBookArticle, of which no more than this is read.
    """

    pmid: int | None
    version: int = 1
    title: str = ""
    abstract: str = ""
    languages: tuple[str, ...] = ()
    publication_types: tuple[str, ...] = ()
    is_retracted: bool = False
    notice: str | None = None
    copyright: str | None = None
    year: int | None = None
    journal: str | None = None
    mesh: tuple[str, ...] = ()
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
            pmid=self.pmid,
            year=self.year,
            journal=self.journal,
        )


@dataclass(frozen=True, slots=True)
class Deletion:
    """A PMID that NLM's DeleteCitation takes back."""

    pmid: int
    version: int


def read_pubmed(
    path: Path,
    *,
    max_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Record | Deletion]:
    """Yield the records and deletions of one file, in its order.

    Args:
        path: ``.xml`` or ``.xml.gz``; the content decides which, not the name.
        max_bytes: allowed size of the file, decompressed.

    Raises:
        DataError: unreadable, too large, cut short, not well-formed, not UTF-8 where it says so,
            another kind of XML, or with entities of its own.
    """
    for element in read_records(
        read_chunks(path, max_bytes),
        path,
        roots=("PubmedArticleSet",),
        tags=("PubmedArticle", "PubmedBookArticle", "DeleteCitation"),
        are_alone=True,
        kind="PubMed XML",
    ):
        if element.tag == "DeleteCitation":
            yield from _deletions(element, path)
        elif element.tag == "PubmedBookArticle":
            yield Record(pmid=None, is_book=True)
        else:
            with xml_errors(path):
                record = _record(element)
            yield record


def _record(article: etree._Element) -> Record:
    citation = article.find("MedlineCitation")
    pmid_element = citation.find("PMID") if citation is not None else None
    pmid = None if pmid_element is None else parse_pmid(pmid_element.text)
    if citation is None or pmid_element is None or pmid is None:
        return Record(pmid=None)
    version = _version(pmid_element)
    content = citation.find("Article")
    if content is None:
        return Record(pmid=pmid, version=version)
    types = tuple(clean_line(element_text(e)) for e in _TYPES(content))
    abstract = content.find("Abstract")
    title = _title(content)
    kinds = _kinds(citation, types, title)
    return Record(
        pmid=pmid,
        version=version,
        title=title,
        abstract="" if abstract is None else _abstract(abstract),
        languages=tuple(clean_line(element_text(e)) for e in content.iterfind("Language")),
        publication_types=types,
        is_retracted=RETRACTED in kinds,
        notice=next((kind for kind in kinds if kind != RETRACTED), None),
        copyright=None if abstract is None else _optional_line(abstract, "CopyrightInformation"),
        year=_year(content),
        journal=_optional_line(citation, "MedlineJournalInfo/MedlineTA"),
        mesh=tuple(element.text or "" for element in _MESH(citation)),
    )


def _deletions(element: etree._Element, path: Path) -> Iterator[Deletion]:
    for pmid_element in element.iterfind("PMID"):
        pmid = parse_pmid(pmid_element.text)
        if pmid is None:
            raise DataError(
                f"PMID in DeleteCitation of {path}: got {pmid_element.text!r}, allowed: a number"
            )
        yield Deletion(pmid, _version(pmid_element))


def _version(element: etree._Element) -> int:
    text = element.get("Version", "1").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 1


def _title(content: etree._Element) -> str:
    title = _optional_line(content, "ArticleTitle") or ""
    if not title.strip("[].") or title.strip("[].") == "Not Available":
        return _optional_line(content, "VernacularTitle") or ""
    # NLM puts translated titles in brackets: "[Title in English]."
    match = _BRACKETED.fullmatch(title)
    return match[1] + match[2] if match else title


def _abstract(abstract: etree._Element) -> str:
    sections = []
    for section in _ABSTRACT_TEXTS(abstract):
        text = clean_line(element_text(section))
        if _TRUNCATED_BRACKET.search(text):
            text = _TRUNCATED.sub(" ", text).strip()
        label = clean_line(section.get("Label", "")).rstrip(": ")
        if text and label and label != "UNLABELLED":
            text = f"{label}: {text}"
        if text:
            sections.append(text)
    return "\n".join(sections)


def _year(content: etree._Element) -> int | None:
    date = content.find("Journal/JournalIssue/PubDate")
    if date is None:
        return None
    # MedlineDate is free text: "1998 Dec-1999 Jan".
    text = date.findtext("Year") or date.findtext("MedlineDate") or ""
    match = _YEAR.search(text)
    return int(match[0]) if match else None


def _kinds(citation: etree._Element, types: tuple[str, ...], title: str) -> list[str]:
    """Whether the record is retracted or a notice, by its types and links, or its title."""
    links = _LINKS(citation)
    kinds = [PUBLICATION_TYPES.get(name) for name in types]
    kinds += [REFERENCE_TYPES.get(link.get("RefType", "")) for link in links]
    # A notice may have the title of the article that it takes back.
    return [kind for kind in kinds if kind] or [kind for kind in (kind_by_title(title),) if kind]


def _optional_line(parent: etree._Element, tag: str) -> str | None:
    element = parent.find(tag)
    return None if element is None else clean_line(element_text(element)) or None
