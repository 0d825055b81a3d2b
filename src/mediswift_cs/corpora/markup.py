"""Text of an XML element with its inline markup, and of MathML inside it."""

from lxml import etree

_MATHML = "{http://www.w3.org/1998/Math/MathML}"
# A second form of the same formula (TeX, content MathML); the first child of semantics is the one
# that is shown.
_ANNOTATIONS = frozenset({f"{_MATHML}annotation", f"{_MATHML}annotation-xml"})


def element_text(element: etree._Element) -> str:
    """All text below ``element``, joined without any space that is not in the source."""
    if not len(element):
        return element.text or ""
    parts: list[str] = []
    _collect(element, parts)
    return "".join(parts)


def _collect(element: etree._Element, parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    for child in element:
        if child.tag == f"{_MATHML}math":
            parts.append(math_text(child))
        else:
            _collect(child, parts)
        if child.tail:
            parts.append(child.tail)


def math_text(element: etree._Element) -> str:
    """A MathML element on one line: R² is ``R2``, as PubMed shows ``<sup>`` in plain text.

    White space between the elements is layout, except in mtext. What an element draws itself
    (fraction bar, root sign, fences) is written out and prescripts come first, since otherwise 1/2
    would read 12, and ³He would read He3.
    """
    if element.tag in _ANNOTATIONS:
        return ""
    name = str(element.tag).removeprefix(_MATHML)
    if name in ("mtext", "ms"):
        return element_text(element)
    children = [math_text(child) for child in element]
    if name == "mfrac":
        return "/".join(children)
    if name == "msqrt":
        return f"√({''.join(children)})"
    if name == "mfenced":
        return f"{element.get('open', '(')}{','.join(children)}{element.get('close', ')')}"
    if name == "mmultiscripts":
        names = [str(child.tag).removeprefix(_MATHML) for child in element]
        start = names.index("mprescripts") if "mprescripts" in names else len(names)
        children = children[start:] + children[:start]
    return (element.text or "").strip() + "".join(children)
