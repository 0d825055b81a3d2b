"""The running text of JATS and NLM articles: one line a title, paragraph, list item or caption."""

import re

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.xml_stream import math_text

_MATH = "{http://www.w3.org/1998/Math/MathML}math"

# Start and end a line of their own.
_BLOCK_NAMES = """
    abstract ack app app-group back body boxed-text caption chem-struct-wrap def def-item
    def-list disp-formula disp-formula-group disp-quote fig fig-group fn fn-group floats-group
    floats-wrap glossary list list-item media notes p preformat sec speech statement subtitle
    supplementary-material table-wrap table-wrap-foot table-wrap-group term title verse-group
    verse-line tr ref ref-list
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
# Stand where their paragraph has a reference to them; moved behind it, so that no sentence is cut.
_FLOATS = frozenset(
    ("fig", "fig-group", "table-wrap", "supplementary-material", "fn", "boxed-text")
)
# Never text of the article.
_DROPPED_NAMES = """
    alt-text attrib copyright-statement graphic inline-graphic inline-supplementary-material
    long-desc object-id permissions processing-meta related-article related-object sec-meta
    index-term private-char
"""
_DROPPED = frozenset(_DROPPED_NAMES.split())
_TABLE = frozenset(("table", "tbody", "thead", "array"))
# What PMC itself puts under each supplementary file.
_CLICK_HERE = "Click here for additional data file."

_TEX_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_TEX_FENCE = re.compile(r"\$+|\\\[|\\\]")


class TextCollector:
    """Collects the lines of elements.

    Attributes:
        lines: cleaned, none of them empty.
    """

    def __init__(self, *, tables: bool = False, references: bool = False) -> None:
        self.lines: list[str] = []
        self._parts: list[str] = []
        self._deferred: list[etree._Element] = []
        self._in_paragraph = 0
        self._after_label = False
        self._dropped = _DROPPED | (set() if tables else _TABLE)
        self._dropped |= set() if references else {"ref-list"}

    def add(self, element: etree._Element) -> None:
        """Append the text of ``element`` as lines of its own."""
        self._end_line()
        self._visit(element)
        self._end_line()

    def _visit(self, element: etree._Element) -> None:
        tag = element.tag
        if tag in self._dropped:
            return
        if tag == _MATH:
            self._parts.append(math_text(element))
        elif tag == "tex-math":
            self._parts.append(_tex(element))
        elif tag == "alternatives":
            self._visit_best(element)
        elif tag == "label":
            self._label(element)
        elif tag in ("break", "td", "th"):
            self._parts.append(" ")
            self._content(element)
        elif tag in _FLOATS and self._in_paragraph:
            self._deferred.append(element)
        elif tag in _BLOCKS:
            self._block(element)
        else:
            self._content(element)

    def _content(self, element: etree._Element) -> None:
        if element.text:
            self._parts.append(element.text)
        for child in element:
            self._visit(child)
            if child.tail:
                self._parts.append(child.tail)

    def _block(self, element: etree._Element) -> None:
        # "1." and the paragraph of the list item, "2.1" and the title are one line.
        if not self._after_label:
            self._end_line()
        is_paragraph = element.tag == "p"
        self._in_paragraph += is_paragraph
        self._content(element)
        self._in_paragraph -= is_paragraph
        self._end_line()
        if is_paragraph and not self._in_paragraph:
            deferred, self._deferred = self._deferred, []
            for each in deferred:
                self._block(each)

    def _label(self, element: etree._Element) -> None:
        if self._after_label or self._is_block(element.getparent()):
            self._end_line()
            self._content(element)
            self._parts.append(" ")
            self._after_label = True
        else:
            # The number of a formula in the middle of a line.
            self._parts.append(" ")
            self._content(element)

    def _is_block(self, parent: etree._Element | None) -> bool:
        return parent is not None and parent.tag in _BLOCKS and parent.tag != "disp-formula"

    def _visit_best(self, element: etree._Element) -> None:
        """One of several forms of the same thing: MathML before TeX before others."""
        children = {child.tag: child for child in reversed(element)}
        best = children.get(_MATH, children.get("tex-math"))
        for child in [best] if best is not None else list(element):
            self._visit(child)

    def _end_line(self) -> None:
        self._after_label = False
        if not self._parts:
            return
        line = clean_line("".join(self._parts))
        self._parts.clear()
        if line and line != _CLICK_HERE:
            self.lines.append(line)


def _tex(element: etree._Element) -> str:
    source = "".join(element.itertext())
    match = _TEX_BODY.search(source)
    return _TEX_FENCE.sub("", match[1] if match else source).strip()
