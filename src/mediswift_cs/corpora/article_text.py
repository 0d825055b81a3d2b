"""The text of one article: which of its parts are read, and in which order."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from lxml import etree

from mediswift_cs.corpora.cross_references import NOTE_TYPES
from mediswift_cs.corpora.jats_elements import CAPTIONED
from mediswift_cs.corpora.jats_text import TextCollector
from mediswift_cs.corpora.text_options import TextOptions

# Abstracts that are not the article's own summary, or that repeat it.
_OTHER_ABSTRACTS = frozenset(("toc", "graphical", "video", "teaser", "web-summary", "key-points"))


class ArticleText:
    """Reads the parts of one article.

    Args:
        language: of the article; what states another one is a translation, and left out.

    Attributes:
        unlisted: names that the table of elements does not have, and how often they were read.
    """

    def __init__(self, options: TextOptions, language: str) -> None:
        self.unlisted: Counter[str] = Counter()
        self._options = options
        self._language = language

    def _lines(self, elements: Iterable[etree._Element]) -> list[str]:
        collector = TextCollector(self._options, self._language)
        for element in elements:
            collector.add(element)
        self.unlisted += collector.unlisted
        return collector.lines

    def title(self, meta: etree._Element) -> str:
        """The title of the article with its subtitle."""
        group = meta.find("title-group")
        if group is None:
            return ""
        titles = [*group.iterfind("article-title"), *group.iterfind("subtitle")]
        for title in titles:
            # Notes to a title are about the article, not part of it.
            for reference in title.iterfind(".//xref"):
                if reference.get("ref-type", "") in NOTE_TYPES:
                    reference.tag = "fn"
            etree.strip_elements(title, "fn", with_tail=False)
        return ": ".join(line.rstrip(":") for line in self._lines(titles))

    def abstract(self, meta: etree._Element) -> list[str]:
        """The article's own summary, in its language."""
        lines = self._lines(
            abstract
            for abstract in meta.iterfind("abstract")
            if abstract.get("abstract-type") not in _OTHER_ABSTRACTS
        )
        return lines[1:] if lines and lines[0].lower() in ("abstract", "summary") else lines

    def body(self, article: etree._Element) -> list[str]:
        """The body, with what floats beside it and what of the back matter is asked for."""
        lines = self._lines(article.iterfind("body"))
        if not lines:
            return []
        lines += self._lines(article.iterchildren("floats-group", "floats-wrap"))
        back = article.find("back")
        if back is None:
            return lines
        if self._options.back:
            return lines + self._lines([back])
        references = back.iterfind("ref-list") if self._options.references else ()
        # Where older articles have the captions of their figures.
        return lines + self._lines(chain(_outermost(back), references))


def _outermost(part: etree._Element) -> Iterator[etree._Element]:
    """The figures, tables and files of a part; what stands in one of them is its own."""
    for element in part:
        if element.tag in CAPTIONED:
            yield element
        elif element.tag != "ref-list":
            yield from _outermost(element)
