"""Full texts of PubMed Central: JATS (NLM DTD 2.0 to JATS 1.3) ``article`` and ``pmc-articleset``.

Title, abstract and body become one text, with headings, lists and captions as lines of their own.
Each article is freed once it is read, so memory does not grow with the file. Entities are never
expanded and nothing is fetched.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.jats_text import TextCollector
from mediswift_cs.corpora.licence import OTHER, Licence, article_licence
from mediswift_cs.corpora.pubmed import MAX_PMID
from mediswift_cs.corpora.xml_stream import MAX_FILE_BYTES, read_chunks, read_records

SUFFIXES = (".nxml", ".xml", ".nxml.gz", ".xml.gz")

# Abstracts that are not the article's own summary, or that repeat it.
_OTHER_ABSTRACTS = frozenset(("toc", "graphical", "video", "teaser", "web-summary", "key-points"))
_FLOATS = ("fig", "table-wrap", "supplementary-material")
_NOTICES = {
    "retraction": "retraction_notice",
    "correction": "erratum",
    "expression-of-concern": "expression_of_concern",
}
_PMC_ID = re.compile(r"(?:PMC)?([0-9]{1,10})(?:\.([0-9]{1,3}))?")
_YEAR = re.compile(r"(?:1[5-9]|20)[0-9]{2}")
_NOT_STATED = Licence(OTHER)
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What else becomes text.

    Attributes:
        tables: cells of tables, one line a row (captions are always text).
        references: the list of references.
        back: acknowledgements, abbreviations, appendices and notes.
    """

    tables: bool = False
    references: bool = False
    back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article.

    Attributes:
        id: ``pmc:PMC123``, or ``doi:...`` where it has no number of PMC, None without both.
        abstract: one line a title or paragraph, so is ``body``, which holds the captions too.
        article_type: as the article states it.
        is_retracted: it points to a notice of its retraction.
        notice: the kind of notice that the article is, None for others.
    """

    id: str | None
    pmid: int | None = None
    version: int = 1
    title: str = ""
    abstract: str = ""
    body: str = ""
    article_type: str = ""
    language: str | None = None
    licence: Licence = _NOT_STATED
    is_retracted: bool = False
    notice: str | None = None
    year: int | None = None
    journal: str | None = None

    def to_document(self, source: str) -> Document:
        """Title, abstract and body as one text, the title on the first line."""
        assert self.id is not None
        return Document(
            id=self.id,
            text="\n".join(part for part in (self.title, self.abstract, self.body) if part),
            source=source,
            licence=self.licence.name,
            licence_class=self.licence.licence_class,
            language=(self.language,) if self.language else (),
            publication_types=(self.article_type,) if self.article_type else (),
            version=self.version,
            pmid=self.pmid,
            year=self.year,
            journal=self.journal,
        )


def read_pmc(
    path: Path,
    on_bytes: Callable[[int], object] | None = None,
    *,
    text_options: TextOptions | None = None,
    max_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Article]:
    """Yield the articles of one file, in its order.

    Args:
        path: plain or gzip; the content decides which, not the name.
        on_bytes: called with the number of bytes of the file each time that some were read.
        max_bytes: allowed size of the file, decompressed.

    Raises:
        DataError: unreadable, too large, cut short, not well-formed, not UTF-8 where it says so,
            another kind of XML, or with entities of its own.
    """
    return parse_articles(read_chunks(path, on_bytes, max_bytes), path, text_options)


def parse_articles(
    chunks: Iterator[bytes], path: PurePath, text_options: TextOptions | None = None
) -> Iterator[Article]:
    """The articles of XML that comes in pieces; ``path`` is its name in errors.

    Raises:
        DataError: as :func:`read_pmc`.
    """
    options = text_options or TextOptions()
    for element in read_records(
        chunks,
        path,
        roots=("article", "pmc-articleset"),
        tags=("article",),
        are_alone=False,
        kind="PMC XML",
    ):
        yield _article(element, options)


def _article(article: etree._Element, options: TextOptions) -> Article:
    meta = article.find("front/article-meta")
    if meta is None:
        return Article(id=None)
    article_id, pmid, version = _ids(meta)
    article_type = article.get("article-type", "")
    related = [e.get("related-article-type", "") for e in meta.iterfind("related-article")]
    return Article(
        id=article_id,
        pmid=pmid,
        version=version,
        title=_title(meta),
        abstract="\n".join(_abstract(meta)),
        body="\n".join(_body(article, options)),
        article_type=article_type,
        language=(article.get(_XML_LANGUAGE) or "").lower()[:2] or None,
        licence=article_licence(meta),
        is_retracted="retraction-forward" in related,
        notice=_NOTICES.get(article_type),
        year=_year(meta),
        journal=_journal(article),
    )


def _ids(meta: etree._Element) -> tuple[str | None, int | None, int]:
    ids: dict[str, str] = {}
    for element in meta.iterfind("article-id"):
        text = clean_line("".join(element.itertext()))
        ids.setdefault(element.get("pub-id-type", ""), text)
    pmid_text = ids.get("pmid", "")
    is_pmid = pmid_text.isascii() and pmid_text.isdigit() and 0 < int(pmid_text[:9]) <= MAX_PMID
    pmid = int(pmid_text) if is_pmid else None
    version = 1
    article_id = None
    for kind in ("pmcid", "pmc", "pmcid-ver"):
        match = _PMC_ID.fullmatch(ids.get(kind, ""))
        if match:
            article_id = article_id or f"pmc:PMC{int(match[1])}"
            version = int(match[2]) if match[2] else version
    if article_id is None and ids.get("doi"):
        article_id = f"doi:{ids['doi'].lower()}"
    return article_id, pmid, version


def _title(meta: etree._Element) -> str:
    group = meta.find("title-group")
    if group is None:
        return ""
    collector = TextCollector()
    for element in group.iterfind("article-title"):
        # Notes to a title are about the article, not part of it.
        for reference in element.iterfind(".//xref[@ref-type='fn']"):
            reference.tag = "fn"
        etree.strip_elements(element, "fn", with_tail=False)
        collector.add(element)
    for element in group.iterfind("subtitle"):
        collector.add(element)
    return ": ".join(line.rstrip(":") for line in collector.lines)


def _abstract(meta: etree._Element) -> list[str]:
    collector = TextCollector()
    for abstract in meta.iterfind("abstract"):
        if abstract.get("abstract-type") not in _OTHER_ABSTRACTS:
            collector.add(abstract)
    lines = collector.lines
    return lines[1:] if lines and lines[0].lower() in ("abstract", "summary") else lines


def _body(article: etree._Element, options: TextOptions) -> list[str]:
    collector = TextCollector(tables=options.tables, references=options.references)
    for body in article.iterfind("body"):
        collector.add(body)
    if not collector.lines:
        return []
    back = article.find("back")
    for floats in ("floats-group", "floats-wrap"):
        for group in article.iterfind(floats):
            collector.add(group)
    if back is not None and options.back:
        collector.add(back)
    elif back is not None:
        # Where older articles have the captions of their figures.
        references = back.iterfind("ref-list") if options.references else ()
        for element in chain(back.iter(*_FLOATS), references):
            collector.add(element)
    return collector.lines


def _year(meta: etree._Element) -> int | None:
    years = [clean_line(e.text or "") for e in meta.iterfind("pub-date/year")]
    return min((int(year) for year in years if _YEAR.fullmatch(year)), default=None)


def _journal(article: etree._Element) -> str | None:
    meta = article.find("front/journal-meta")
    if meta is None:
        return None
    for path in (
        "journal-id[@journal-id-type='nlm-ta']",
        "journal-title-group/journal-title",
        "journal-title",
    ):
        element = meta.find(path)
        if element is not None and (text := clean_line("".join(element.itertext()))):
            return text
    return None
