"""MathML on one line of text, so that it says what is drawn.

A simple exponent or index is joined, as PubMed shows ``<sup>`` in plain text (R² is ``R2``); what
would say something else when joined gets brackets, ``^`` or ``_``: ``(a+b)/c``, ``x^(n+1)``,
``x_1^2``. Cells of a table stand apart by commas, its rows by semicolons.
"""

import re
import unicodedata
from collections.abc import Callable

from lxml import etree

MATHML = "{http://www.w3.org/1998/Math/MathML}"
MATH = f"{MATHML}math"

# What XML calls white space; others, such as a no-break space in an operator, are drawn.
_LAYOUT = " \t\r\n"
# Function application, invisible times, separator and plus: they draw nothing.
_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))
_WRAPPERS = frozenset(f"{MATHML}{name}" for name in ("mrow", "mstyle", "mpadded", "math", "merror"))
_FRACTION = f"{MATHML}mfrac"
# Mathematical symbols that name a thing rather than join two, or are drawn above one.
_OPERANDS = frozenset("∞∂∇√~¬∑∏∫")
_MORE_OPERATORS = frozenset(" ,;:/-\u2013\u00b7*")
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_ZERO = re.compile(r"-.*|0*\.?0*(?:[a-z%]*)", re.IGNORECASE)
_ENDS_RAISED = re.compile(r"[_^]\w+\Z")
_STARTS_WITH_OPERATOR = re.compile(r"[^\w\s(\[{√]")


def local_name(tag: str) -> str:
    """The name of an element without its namespace."""
    return str(tag).rpartition("}")[2]


def math_text(element: etree._Element) -> str:
    """The text of a MathML element; white space between elements is layout."""
    handler = _HANDLERS.get(element.tag)
    return _row(element) if handler is None else handler(element)


def _children(element: etree._Element) -> list[str]:
    return [math_text(child) for child in element]


def _leaf(element: etree._Element) -> str:
    own = _own(element)
    return "".join((own, *_children_with_tails(element))) if len(element) else own


def _own(element: etree._Element) -> str:
    text: str = (element.text or "").strip(_LAYOUT)
    return text if text.isascii() else text.translate(_INVISIBLE)


def _children_with_tails(element: etree._Element) -> list[str]:
    texts = []
    for child in element:
        texts.append(math_text(child))
        if child.tail:
            texts.append(child.tail.strip(_LAYOUT))
    return texts


def _row(element: etree._Element) -> str:
    """Things side by side; a fraction beside a number or name is one factor: ``(1/2)mv2``."""
    has_fraction = len(element) > 1 and any(_core(child).tag == _FRACTION for child in element)
    texts = _with_factors(element) if has_fraction else _children_with_tails(element)
    return _side_by_side([_own(element), *texts])


def _side_by_side(texts: list[str]) -> str:
    """Joined; what follows a raised letter is kept from it: ``x_1^2 y``."""
    line = "".join(texts)
    if "^" not in line and "_" not in line:
        return line
    line = ""
    for text in filter(None, texts):
        is_raised = text[0].isalnum() and _ENDS_RAISED.search(line[-20:]) is not None
        line += f" {text}" if is_raised else text
    return line


def _with_factors(element: etree._Element) -> list[str]:
    pairs = [(math_text(child), _core(child).tag == _FRACTION) for child in element]
    pairs = [pair for pair in pairs if pair[0]]
    texts = [text for text, _ in pairs]
    for number, (text, is_fraction) in enumerate(pairs):
        before = texts[number - 1][-1:] if number else ""
        after = pairs[number + 1][0][:1] if number + 1 < len(pairs) else ""
        if is_fraction and (before.isalnum() or after.isalnum()):
            texts[number] = f"({text})"
    return texts


def _core(element: etree._Element) -> etree._Element:
    """What stands in wrappers that draw nothing themselves."""
    while element.tag in _WRAPPERS and len(element) == 1:
        element = element[0]
    return element


def _words(element: etree._Element) -> str:
    """White space counts in text."""
    text = element.text or ""
    return text + "".join(math_text(child) + (child.tail or "") for child in element)


def _string(element: etree._Element) -> str:
    return f"{element.get('lquote', chr(34))}{_words(element)}{element.get('rquote', chr(34))}"


def _space(element: etree._Element) -> str:
    return "" if _ZERO.fullmatch(element.get("width", "1").strip()) else " "


def _is_compound(text: str) -> bool:
    """Whether an operator, comma or space stands in it, outside of brackets."""
    depth = 0
    last = len(text) - 1
    for place, character in enumerate(text):
        step = _BRACKETS.get(character)
        if step is not None:
            depth += step
        elif depth == 0 and place > 0 and not character.isalnum():
            # A sign at either end is part of a number or a charge.
            is_sign = place == last and character in "+-\u2212*~"
            if not is_sign and _is_operator(character):
                return True
    return False


def _is_operator(character: str) -> bool:
    if character in _MORE_OPERATORS:
        return True
    return character not in _OPERANDS and unicodedata.category(character) == "Sm"


def _one(text: str) -> str:
    return f"({text})" if _is_compound(text) else text


def _divisor(element: etree._Element, text: str) -> str:
    core = _core(element)
    # Their texts are not looked at: nested fractions would take twice as long with each level.
    is_product = core.tag in _WRAPPERS and len(core) > 1
    is_bracketed = text.startswith("(") and text.endswith(")") and ")" not in text[1:-1]
    return f"({text})" if _is_compound(text) or (is_product and not is_bracketed) else text


def _fraction(element: etree._Element) -> str:
    texts = _children(element)
    if len(texts) != 2:
        return "/".join(texts)
    if _ZERO.fullmatch(element.get("linethickness", "1").strip()):
        # A binomial, which has no bar.
        return ", ".join(texts)
    return f"{_one(texts[0])}/{_divisor(element[1], texts[1])}"


def _root(element: etree._Element) -> str:
    texts = _children(element)
    if len(texts) != 2:
        return f"√({''.join(texts)})"
    return f"{_one(texts[0])}^(1/{_one(texts[1])})"


def _square_root(element: etree._Element) -> str:
    return f"√({_row(element)})"


def _scripts(base: str, below: str, above: str, *, are_marked: bool = False) -> str:
    base = _one(base)
    below, above = below.strip(), above.strip()
    if not (below and above) and not are_marked and not _is_compound(below + above):
        return base + below + above
    marked = (f"_{_one(below)}" if below else "") + (f"^{_one(above)}" if above else "")
    return base + marked


def _attached(element: etree._Element) -> str:
    """Below and above; a letter under or over a base is no index of it, an accent is joined."""
    base, below, above, *_ = [*_children(element), "", "", ""]
    name = local_name(element.tag)
    if name in ("msup", "mover"):
        below, above = "", below
    has_letter = any(character.isalnum() for character in below + above)
    return _scripts(base, below, above, are_marked=has_letter and not name.startswith("ms"))


def _multiple_scripts(element: etree._Element) -> str:
    """Prescripts come first, since ³He would else read He3."""
    texts = _children(element)
    tags = [child.tag for child in element]
    before = f"{MATHML}mprescripts"
    start = tags.index(before) if before in tags else len(tags)
    result = texts[0] if texts else ""
    for below, above in _pairs(texts[1:start]):
        result = _scripts(result, below, above)
    prescripts = ""
    for below, above in _pairs(texts[start + 1 :]):
        prescripts += f"^{_one(above)}_{_one(below)}" if below and above else below + above
    return prescripts + result


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    return list(zip(texts[::2], [*texts[1::2], ""], strict=False))


def _fenced(element: etree._Element) -> str:
    separators = "".join(element.get("separators", ",").split())
    texts = _children(element)
    result = texts[0] if texts else ""
    for number, text in enumerate(texts[1:]):
        # The last one is for all that follow.
        result += separators[min(number, len(separators) - 1) :][:1] + text
    return f"{element.get('open', '(')}{result}{element.get('close', ')')}"


def _enclosed(element: etree._Element) -> str:
    text = _row(element)
    return f"√({text})" if "radical" in element.get("notation", "") else text


def _table(element: etree._Element) -> str:
    result = ""
    for text in filter(None, (text.strip(" ,") for text in _children(element))):
        # A row that begins with an operator goes on with the one before it.
        result += ("; " if result and not _STARTS_WITH_OPERATOR.match(text) else " ") + text
    return result.strip()


def _table_row(element: etree._Element) -> str:
    return _cells(_children(element))


def _labeled_row(element: etree._Element) -> str:
    """The label is the first cell, and is drawn behind the others."""
    label, *cells = _children(element) or [""]
    return f"{_cells(cells)} {label}".strip()


def _cells(texts: list[str]) -> str:
    result = ""
    for number, text in enumerate(texts):
        # Columns at whose edge an operator stands are one formula that is aligned there.
        is_one = not text or _STARTS_WITH_OPERATOR.match(text) or _is_operator(result[-1:] or " ")
        result += ("" if not number else " " if is_one else ", ") + text
    return result.strip()


def _stacked(element: etree._Element) -> str:
    return " ".join(text for text in _children(element) if text)


def _chosen(element: etree._Element) -> str:
    """The first form (of semantics), or the one that an action shows at first."""
    selection = element.get("selection", "1")
    is_number = selection.isascii() and selection.isdigit() and len(selection) <= 3
    number = max(1, int(selection)) if is_number else 1
    return math_text(element[min(number, len(element)) - 1]) if len(element) else ""


def _nothing(_: etree._Element) -> str:
    return ""


def _image(element: etree._Element) -> str:
    return str(element.get("alt", ""))


_BY_NAME: dict[str, Callable[[etree._Element], str]] = {
    **dict.fromkeys(("mi", "mn", "mo"), _leaf),
    "mtext": _words,
    "ms": _string,
    "mspace": _space,
    "mglyph": _image,
    "mfrac": _fraction,
    "msqrt": _square_root,
    "mroot": _root,
    "mfenced": _fenced,
    "menclose": _enclosed,
    "mphantom": lambda _: " ",
    **dict.fromkeys(("msub", "msup", "msubsup", "munder", "mover", "munderover"), _attached),
    "mmultiscripts": _multiple_scripts,
    **dict.fromkeys(("mprescripts", "none", "malignmark", "maligngroup", "msline"), _nothing),
    "mtable": _table,
    "mtr": _table_row,
    "mlabeledtr": _labeled_row,
    **dict.fromkeys(("mstack", "mlongdiv", "msgroup", "mscarries", "apply"), _stacked),
    **dict.fromkeys(("semantics", "maction"), _chosen),
    **dict.fromkeys(("annotation", "annotation-xml"), _nothing),
}
_HANDLERS = {f"{MATHML}{name}": handler for name, handler in _BY_NAME.items()}
