"""Full texts of PubMed Central: JATS (NLM DTD 2.0 to JATS 1.3), an article or a set of them.

Title, abstract and body become one text, with headings, lists and captions as lines of their own.
Each article is freed once it is read, so memory does not grow with the file. Entities are never
expanded and nothing is fetched.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from lxml import etree

from mediswift_cs.corpora.article_text import ArticleText
from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.jats_elements import language_of
from mediswift_cs.corpora.licence import OTHER, Licence, article_licence
from mediswift_cs.corpora.mathml import local_name
from mediswift_cs.corpora.notices import (
    ARTICLE_TYPES,
    RELATED_ARTICLE_TYPES,
    RETRACTED,
    kind_by_title,
)
from mediswift_cs.corpora.pmid import parse_pmid
from mediswift_cs.corpora.text_options import TextOptions
from mediswift_cs.corpora.xml_stream import MAX_FILE_BYTES, read_chunks, read_records, xml_errors
from mediswift_cs.errors import DataError

SUFFIXES = (".nxml", ".xml", ".nxml.gz", ".xml.gz")

# An article, PMC's and Europe PMC's sets of them.
_ROOTS = ("article", "pmc-articleset", "articles")
_PMC_ID = re.compile(r"(?:PMC)?([0-9]{1,10})(?:\.([0-9]{1,3}))?")
_YEAR = re.compile(r"(?:1[5-9]|20)[0-9]{2}")
_NOT_STATED = Licence(OTHER)
_DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article.

    Attributes:
        id: ``pmc:PMC123``, or ``doi:...`` where it has no number of PMC, or ``pubmed:...`` where it
            has neither, None without all three.
        abstract: one line a title or paragraph, so is ``body``, which holds the captions too.
        article_type: as the article states it.
        is_retracted: it points to a notice of its retraction, or its title says so.
        notice: the kind of notice that the article is, None for others.
        unlisted: how often elements were read as text whose names the reader does not know.
        is_other: no article, but another element of a set, such as a reply that there is none.
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
    unlisted: Mapping[str, int] = field(default_factory=dict)
    is_other: bool = False

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
    *,
    text_options: TextOptions | None,
    max_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Article]:
    """Yield the articles of one file, in its order.

    Args:
        path: plain or gzip; the content decides which, not the name.
        max_bytes: allowed size of the file, decompressed.

    Raises:
        DataError: unreadable, too large, cut short, not well-formed, not UTF-8 where it says so,
            another kind of XML, or with entities of its own.
    """
    return parse_articles(read_chunks(path, max_bytes), path, text_options)


def parse_articles(
    chunks: Iterator[bytes], path: PurePath, text_options: TextOptions | None
) -> Iterator[Article]:
    """The articles of XML that comes in pieces; ``path`` is its name in errors.

    Raises:
        DataError: as :func:`read_pmc`.
    """
    options = text_options or TextOptions()
    is_empty = True
    for element in read_records(
        chunks, path, roots=_ROOTS, tags=("article",), are_alone=False, kind="PMC XML"
    ):
        is_empty = False
        if local_name(element.tag) == "article":
            _drop_namespace(element)
            with xml_errors(path):
                article = _article(element, options)
            yield article
        else:
            yield Article(id=None, is_other=True)
    if is_empty:
        raise DataError(f"{path} is a set without any article")


def _drop_namespace(article: etree._Element) -> None:
    """Give an article that names a namespace of JATS the names of those that do not."""
    prefix, _, name = article.tag.rpartition("}")
    if prefix:
        for element in article.iter(f"{prefix}}}*"):
            element.tag = local_name(element.tag)
        assert article.tag == name


def _article(article: etree._Element, options: TextOptions) -> Article:
    meta = article.find("front/article-meta")
    if meta is None:
        return Article(id=None)
    article_id, pmid, version = _ids(meta)
    article_type = article.get("article-type", "").strip()
    translation = _english_translation(article)
    text_of = article if translation is None else translation
    text_meta = meta if translation is None else _stub(translation)
    language = language_of(text_of)
    reader = ArticleText(options, language or _DEFAULT_LANGUAGE)
    title = reader.title(text_meta)
    kinds = _kinds(meta, article_type, title)
    abstract, body = reader.abstract(text_meta), reader.body(text_of)
    return Article(
        id=article_id,
        pmid=pmid,
        version=version,
        title=title,
        abstract="\n".join(abstract),
        body="\n".join(body),
        article_type=article_type,
        language=language,
        licence=article_licence(*{id(each): each for each in (meta, text_meta)}.values()),
        is_retracted=RETRACTED in kinds,
        notice=next((kind for kind in kinds if kind != RETRACTED), None),
        year=_year(meta),
        journal=_journal(article),
        unlisted=reader.unlisted,
    )


def _english_translation(article: etree._Element) -> etree._Element | None:
    """The sub-article that has all of an article of another language in English."""
    if (language_of(article) or _DEFAULT_LANGUAGE) == "en":
        return None
    for part in article.iterfind("sub-article[@article-type='translation']"):
        if language_of(part) == "en" and part.find("body") is not None:
            return part
    return None


def _stub(part: etree._Element) -> etree._Element:
    """The title and abstract of a sub-article."""
    for name in ("front-stub", "front/article-meta"):
        if (stub := part.find(name)) is not None:
            return stub
    return etree.Element("front-stub")


def _kinds(meta: etree._Element, article_type: str, title: str) -> list[str]:
    """Whether the article is retracted or a notice, by its type and links, or its title."""
    related = [e.get("related-article-type", "") for e in meta.iterfind("related-article")]
    kinds = [ARTICLE_TYPES.get(article_type.lower())]
    kinds += [RELATED_ARTICLE_TYPES.get(name.strip().lower()) for name in related]
    # A notice may have the title of the article that it takes back.
    return [kind for kind in kinds if kind] or [kind for kind in (kind_by_title(title),) if kind]


def _ids(meta: etree._Element) -> tuple[str | None, int | None, int]:
    ids: dict[str, str] = {}
    for element in meta.iterfind("article-id"):
        text = clean_line("".join(element.itertext()))
        ids.setdefault(element.get("pub-id-type", ""), text)
    pmid = parse_pmid(ids.get("pmid"))
    version = 1
    article_id = None
    for kind in ("pmcid", "pmc", "pmcid-ver"):
        match = _PMC_ID.fullmatch(ids.get(kind, ""))
        if match:
            article_id = article_id or f"pmc:PMC{int(match[1])}"
            version = int(match[2]) if match[2] else version
    if article_id is None and ids.get("doi"):
        article_id = f"doi:{ids['doi'].lower()}"
    if article_id is None and pmid is not None:
        article_id = f"pubmed:{pmid}"
    return article_id, pmid, version


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
