"""What MathML draws, on one line."""

import re
import time
from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora import mathml
from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.mathml import math_text

# One-letter tags stand for tokens: <i>x</i> is <mi>x</mi>.
SHORT = {"i": "mi", "n": "mn", "o": "mo", "t": "mtext", "r": "mrow"}


def drawn(content: str) -> Any:
    def full(match: re.Match[str]) -> str:
        return f"<{match[1]}m:{SHORT.get(match[2], match[2])}"

    content = re.sub(r"<(/?)([a-z]+)", full, content)
    root = f'<m:math xmlns:m="http://www.w3.org/1998/Math/MathML">{content}</m:math>'
    return clean_line(math_text(etree.fromstring(root)))


SUM = "<r><i>a</i><o>+</o><i>b</i></r>"
ROWS = "<mtr><mtd><n>10</n></mtd><mtd><n>20</n></mtd></mtr>"
CASES = [
    (f"<mfrac>{SUM}<i>c</i></mfrac>", "(a+b)/c"),
    (f"<mfrac><i>c</i>{SUM}</mfrac>", "c/(a+b)"),
    ("<mfrac><mfrac><i>a</i><i>b</i></mfrac><i>c</i></mfrac>", "(a/b)/c"),
    ("<mfrac><n>1</n><r><n>2</n><i>π</i></r></mfrac>", "1/(2π)"),
    ("<mfrac><n>1</n><n>2</n></mfrac><i>m</i>", "(1/2)m"),
    ("<n>3</n><mstyle><mfrac><n>1</n><n>2</n></mfrac></mstyle>", "3(1/2)"),
    ("<mfenced><mfrac linethickness='0pt'><i>n</i><i>k</i></mfrac></mfenced>", "(n, k)"),
    ("<msqrt><i>a</i><o>+</o><i>b</i></msqrt>", "√(a+b)"),
    (f"<mroot>{SUM}<n>3</n></mroot>", "(a+b)^(1/3)"),
    ("<msup><i>x</i><n>2</n></msup>", "x2"),
    ("<msup><n>10</n><r><o>\u2212</o><n>5</n></r></msup>", "10\u22125"),
    ("<msup><i>Ca</i><r><n>2</n><o>+</o></r></msup>", "Ca2+"),
    ("<msup><i>x</i><r><i>n</i><o>+</o><n>1</n></r></msup>", "x^(n+1)"),
    (f"<msup>{SUM}<n>2</n></msup>", "(a+b)2"),
    ("<msubsup><i>x</i><n>1</n><n>2</n></msubsup><i>y</i>", "x_1^2 y"),
    ("<munderover><o>∑</o><r><i>i</i><o>=</o><n>1</n></r><i>n</i></munderover>", "∑_(i=1)^n"),
    ("<munder><i>lim</i><r><i>x</i><o>→</o><n>0</n></r></munder>", "lim_(x→0)"),
    ("<mover><i>x</i><o>¯</o></mover>", "x¯"),
    ("<mmultiscripts><i>He</i><mprescripts/><none/><n>3</n></mmultiscripts>", "3He"),
    ("<mmultiscripts><i>C</i><mprescripts/><n>6</n><n>14</n></mmultiscripts>", "^14_6C"),
    (f"<mtable>{ROWS}{ROWS}</mtable>", "10, 20; 10, 20"),
    ("<mtable><mtr><mtd><i>a</i></mtd></mtr><mtr><mtd><i>b</i></mtd></mtr></mtable>", "a; b"),
    (
        "<mtable><mtr><mtd><i>y</i></mtd><mtd><o>=</o><i>x</i></mtd></mtr>"
        "<mtr><mtd/><mtd><o>+</o><i>z</i></mtd></mtr></mtable>",
        "y =x +z",
    ),
    ("<mtable><mlabeledtr><mtd><t>(1)</t></mtd><mtd><i>a</i></mtd></mlabeledtr></mtable>", "a (1)"),
    ("<mfenced separators=';'><i>a</i><i>b</i></mfenced>", "(a;b)"),
    ("<mfenced separators=',;'><i>a</i><i>b</i><i>c</i><i>d</i></mfenced>", "(a,b;c;d)"),
    ("<mfenced open='|' close='|' separators=''><i>a</i><i>b</i></mfenced>", "|ab|"),
    ("<i>and</i><mspace width='4pt'/><i>so</i>", "and so"),
    ("<i>a</i><mspace width='0em'/><i>b</i><mspace width='-1em'/><i>c</i>", "abc"),
    ("<i>and</i><o>&#160;</o><i>so</i>", "and so"),
    ("<i>a</i><t> or </t><i>b</i><mphantom><i>z</i></mphantom><i>c</i>", "a or b c"),
    ("<ms>st</ms><mglyph alt='g'/>", '"st"g'),
    ("<mstack><msrow><n>1</n><n>2</n></msrow><n>30</n><msline/><n>42</n></mstack>", "12 30 42"),
    ("<maction selection='2'><i>a</i><i>b</i></maction><merror><i>e</i></merror>", "be"),
    ("<semantics><i>x</i><annotation>\\alpha</annotation></semantics>", "x"),
    ("<menclose notation='radical'><i>x</i></menclose>", "√(x)"),
    ("<menclose notation='box'><i>x</i></menclose><mpadded><i>y</i></mpadded>", "xy"),
    ("<n>3</n><o>&#x2064;</o><mfrac><n>1</n><n>2</n></mfrac>", "3(1/2)"),
]


@pytest.mark.parametrize(("content", "expected"), CASES)
def test_what_is_drawn(content: str, expected: str) -> None:
    assert drawn(content) == expected


def test_every_presentation_element_is_known() -> None:
    """An element of MathML 3 that this list lacks would be joined as a row is."""
    names = """mi mn mo mtext mspace ms mglyph mfrac msqrt mroot mphantom mfenced menclose msub msup
        msubsup munder mover munderover mmultiscripts mtable mlabeledtr mtr maligngroup malignmark
        mstack mlongdiv msgroup mscarries msline maction semantics annotation"""
    rows = "mrow mstyle merror mpadded mtd msrow mscarry"
    known = {name.removeprefix(mathml.MATHML) for name in mathml._HANDLERS}
    assert set(names.split()) <= known
    assert not set(rows.split()) & known


@pytest.mark.parametrize("name", sorted(mathml._HANDLERS))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_deep_formulas_take_linear_time(name: str, place: int) -> None:
    """Each level twice would never end; XML's parser allows 256 levels."""
    name = f"m:{name.removeprefix(mathml.MATHML)}"
    leaf = "<m:mi>x</m:mi>"
    start = f"<{name}>{leaf * place}<m:mrow>{leaf}"
    end = f"{leaf}</m:mrow></{name}>"
    root = f'<m:math xmlns:m="http://www.w3.org/1998/Math/MathML">{start * 100}{end * 100}</m:math>'
    started = time.process_time()
    math_text(etree.fromstring(root))
    assert time.process_time() - started < 1
