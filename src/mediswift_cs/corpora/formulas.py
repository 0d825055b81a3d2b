"""Formulas of articles, which come in MathML, in TeX, in words, and often in several of them."""

import re
from collections.abc import Sequence

from lxml import etree

from mediswift_cs.corpora.mathml import MATH

_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_FENCE = re.compile(r"\$+|\\\[|\\\]")
# The best form comes first.
_FORMS = (MATH, "tex-math", "textual-form")


def forms_of(element: etree._Element) -> Sequence[str]:
    """The names of the forms that an element's children are in, the best one first."""
    tags = {child.tag for child in element}
    return [form for form in _FORMS if form in tags]


def tex_text(element: etree._Element) -> str:
    """A formula of TeX without its preamble and dollar signs."""
    source = "".join(element.itertext())
    match = _BODY.search(source)
    return _FENCE.sub("", match[1] if match else source).strip()
