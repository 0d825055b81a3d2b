"""The running text of JATS and NLM articles: one line a title, paragraph, list item or caption."""

from collections import Counter
from collections.abc import Callable, Sequence

from lxml import etree

from mediswift_cs.corpora.citations import SUPERSCRIPT, cited, resolve
from mediswift_cs.corpora.cleaning import CLICK_HERE, clean_line
from mediswift_cs.corpora.cross_references import NOTE_TYPES, CrossReferences, text_of_reference
from mediswift_cs.corpora.formulas import forms_of, tex_text
from mediswift_cs.corpora.jats_elements import (
    SENTENCES,
    TRANSLATED,
    Role,
    language_of,
    role_of,
)
from mediswift_cs.corpora.jats_references import citation_text, is_of_elements_alone, people_text
from mediswift_cs.corpora.mathml import local_name, math_text
from mediswift_cs.corpora.text_options import TextOptions

# Unlisted names that are kept apart; a file of made-up names must not fill the memory.
_MAX_NAMES = 1000


class TextCollector:
    """Collects the lines of elements.

    Args:
        language: parts that state another one are translations, which are left out; None: none is.

    Attributes:
        lines: cleaned, none of them empty.
        unlisted: how often each element was read whose name the table does not have.
    """

    def __init__(self, options: TextOptions, language: str | None) -> None:
        self.lines: list[str] = []
        self.unlisted: Counter[str] = Counter()
        self._options = options
        self._language = language
        self._references_of: CrossReferences | None = None
        self._parts: list[str] = []
        self._deferred: list[etree._Element] = []
        self._in_paragraph = 0
        self._in_cell = 0
        self._in_superscript = 0
        self._after_label = False

    def add(self, element: etree._Element) -> None:
        """Append the text of ``element`` as lines of its own."""
        if self._references_of is None:
            self._references_of = CrossReferences(element)
        self._end_line()
        self._visit(element)
        self._end_line()

    def _visit(self, element: etree._Element) -> None:
        _HANDLERS[role_of(element.tag)](self, element)

    def _content(self, element: etree._Element, without: Sequence[str] = ()) -> None:
        if element.text:
            self._parts.append(element.text)
        for child in element:
            if child.tag not in without:
                self._visit(child)
            if child.tail:
                self._parts.append(child.tail)

    def _nothing(self, element: etree._Element) -> None:
        pass

    def _left_out(self, element: etree._Element) -> None:
        parent = element.getparent()
        if self._in_paragraph and parent is not None and parent.tag in SENTENCES:
            self._content(element)

    def _unlisted(self, element: etree._Element) -> None:
        name = local_name(element.tag)[:80]
        is_known = name in self.unlisted or len(self.unlisted) < _MAX_NAMES
        self.unlisted[name if is_known else "others"] += 1
        self._content(element)

    def _word(self, element: etree._Element) -> None:
        before = element.getprevious()
        if before is not None and role_of(before.tag) in _WORDS and before.tail in _JOINTS:
            self._parts.append(" ")
        self._content(element)

    def _spaced(self, element: etree._Element) -> None:
        self._parts.append(" ")
        self._in_cell += 1
        self._content(element)
        self._in_cell -= 1

    def _superscript(self, element: etree._Element) -> None:
        has_reference = len(element) > 0 and element.find(".//{*}xref") is not None
        before, after = SUPERSCRIPT if has_reference else ("", "")
        self._parts.append(before)
        self._in_superscript += 1
        self._content(element)
        self._in_superscript -= 1
        self._parts.append(after)

    def _cross_reference(self, element: etree._Element) -> None:
        assert self._references_of is not None
        kind = self._references_of.kind(element)
        if kind is None and not self._in_superscript:
            self._content(element)
            return
        text = text_of_reference(element)
        is_raised = self._in_superscript > 0 or element.find("sup") is not None
        is_note = kind in NOTE_TYPES
        before, mark, after = cited(text, is_note=is_note, is_superscript=is_raised)
        self._parts += (before, mark, after)

    def _ruby(self, element: etree._Element) -> None:
        self._parts.append("(")
        self._content(element)
        self._parts.append(")")

    def _et_al(self, element: etree._Element) -> None:
        parent = element.getparent()
        behind = element if element.tail or parent is None else parent
        is_stopped = (behind.tail or "").startswith(".")
        self._parts.append("".join(element.itertext()) or ("et al" if is_stopped else "et al."))

    def _people(self, element: etree._Element) -> None:
        if is_of_elements_alone(element):
            self._parts.append(people_text(element, self._text_of))
        else:
            self._content(element)

    def _math(self, element: etree._Element) -> None:
        self._parts.append(math_text(element))

    def _tex(self, element: etree._Element) -> None:
        self._parts.append(tex_text(element))

    def _formula(self, element: etree._Element) -> None:
        """MathML before TeX before words, where a formula has the same in several forms."""
        self._content(element, without=forms_of(element)[1:])

    def _choice(self, element: etree._Element) -> None:
        """One of several forms of the same thing: the best form, or the first with any text."""
        forms = forms_of(element)
        if forms:
            self._visit(next(child for child in element if child.tag == forms[0]))
            return
        num_parts, num_lines = len(self._parts), len(self.lines)
        for child in element:
            self._visit(child)
            if len(self._parts) > num_parts or len(self.lines) > num_lines:
                return

    def _formula_lines(self, element: etree._Element) -> None:
        self._block(element, content=TextCollector._formula)

    def _block(
        self,
        element: etree._Element,
        content: "Callable[[TextCollector, etree._Element], None] | None" = None,
    ) -> None:
        content = content or TextCollector._content
        if element.tag in TRANSLATED and self._is_translation(element):
            return
        if self._in_cell:
            # A row of a table stays one line.
            self._parts.append(" ")
            content(self, element)
            self._parts.append(" ")
            return
        # "1." and the paragraph of the list item, "2.1" and the title are one line.
        if not self._after_label:
            self._end_line()
        content(self, element)
        self._end_line()

    def _paragraph(self, element: etree._Element) -> None:
        self._in_paragraph += 1
        self._block(element)
        self._in_paragraph -= 1
        if not self._in_paragraph:
            deferred, self._deferred = self._deferred, []
            for each in deferred:
                self._block(each)

    def _is_translation(self, element: etree._Element) -> bool:
        stated = language_of(element)
        return stated is not None and self._language not in (None, stated)

    def _float(self, element: etree._Element) -> None:
        if self._in_paragraph and (element.text or "").strip():
            # Words of the sentence, not a figure or a file with a caption.
            self._content(element)
        elif self._in_paragraph and not self._in_cell:
            self._deferred.append(element)
        else:
            self._block(element)

    def _picture(self, element: etree._Element) -> None:
        if element.find("label") is not None or element.find("caption") is not None:
            self._float(element)
        else:
            self._content(element)

    def _definition(self, element: etree._Element) -> None:
        parent = element.getparent()
        is_inline = parent is not None and parent.tag == "abbrev"
        (self._float if is_inline else self._block)(element)

    def _table(self, element: etree._Element) -> None:
        if self._options.tables:
            self._content(element)

    def _references(self, element: etree._Element) -> None:
        if self._options.references:
            self._block(element)

    def _citation(self, element: etree._Element) -> None:
        if is_of_elements_alone(element):
            before = element.getprevious()
            if before is not None and role_of(before.tag) is Role.CITATION:
                self._parts.append("; ")
            self._parts.append(citation_text(element, self._text_of))
        else:
            self._content(element)

    def _text_of(self, element: etree._Element) -> str:
        """The text of an element by itself."""
        parts, self._parts = self._parts, []
        self._visit(element)
        text = clean_line(resolve("".join(self._parts), self._options.citations))
        self._parts = parts
        return text

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
            self._parts.append(" ")

    def _is_block(self, parent: etree._Element | None) -> bool:
        if parent is None or self._in_cell:
            return False
        return role_of(parent.tag) in _LABELLED

    def _end_line(self) -> None:
        self._after_label = False
        if not self._parts:
            return
        line = clean_line(resolve("".join(self._parts), self._options.citations))
        self._parts.clear()
        if "Click here" in line:
            line = CLICK_HERE.sub("", line)
        if line:
            self.lines.append(line)


_WORDS = frozenset((Role.WORD, Role.PEOPLE, Role.ET_AL))
# What between two words is no space: PMC puts its numbers right behind a reference's full stop.
_JOINTS = frozenset((None, "", ".", ",", ".,"))
_LABELLED = frozenset(
    (Role.LINES, Role.PARAGRAPH, Role.FLOAT, Role.PICTURE, Role.DEFINITION, Role.REFERENCES)
)
_HANDLERS: dict[Role, Callable[[TextCollector, etree._Element], None]] = {
    Role.INLINE: TextCollector._content,
    Role.WORD: TextCollector._word,
    Role.SPACED: TextCollector._spaced,
    Role.SUPERSCRIPT: TextCollector._superscript,
    Role.CROSS_REFERENCE: TextCollector._cross_reference,
    Role.RUBY_TEXT: TextCollector._ruby,
    Role.ET_AL: TextCollector._et_al,
    Role.PEOPLE: TextCollector._people,
    Role.TEX: TextCollector._tex,
    Role.MATHML: TextCollector._math,
    Role.FORMULA: TextCollector._formula,
    Role.CHOICE: TextCollector._choice,
    Role.LINES: TextCollector._block,
    Role.PARAGRAPH: TextCollector._paragraph,
    Role.LABEL: TextCollector._label,
    Role.FLOAT: TextCollector._float,
    Role.PICTURE: TextCollector._picture,
    Role.DEFINITION: TextCollector._definition,
    Role.FORMULA_LINES: TextCollector._formula_lines,
    Role.CITATION: TextCollector._citation,
    Role.TABLE: TextCollector._table,
    Role.REFERENCES: TextCollector._references,
    Role.HIDDEN: TextCollector._nothing,
    Role.LEFT_OUT: TextCollector._left_out,
    Role.UNLISTED: TextCollector._unlisted,
}
