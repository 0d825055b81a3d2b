from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.xml_stream import element_text

MML = 'xmlns:mml="http://www.w3.org/1998/Math/MathML"'


def text(inner: Any) -> Any:
    return clean_line(element_text(etree.fromstring(f"<t {MML}>{inner}</t>")))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("plain", "plain"),
        ("H<sub>2</sub>O and <i>E. <b>coli</b></i>.", "H2O and E. coli."),
        ("<i>in vitro</i> <b>x</b>", "in vitro x"),
        ("10<sup>-3</sup>", "10-3"),
        ("a &lt; b &amp; c&#8201;d", "a < b & c d"),
        ("", ""),
    ],
)
def test_inline_markup_adds_and_loses_no_space(inner: Any, expected: Any) -> None:
    assert text(inner) == expected


@pytest.mark.parametrize(
    ("math", "expected"),
    [
        (
            "<mml:msup><mml:mrow><mml:mi>R</mml:mi></mml:mrow> <mml:mrow><mml:mn>2</mml:mn>"
            "</mml:mrow> </mml:msup>",
            "R2",
        ),
        ("<mml:mfrac><mml:mn>1</mml:mn> <mml:mn>2</mml:mn></mml:mfrac>", "1/2"),
        ("<mml:msqrt><mml:mi>n</mml:mi></mml:msqrt>", "√(n)"),
        ("<mml:mfenced><mml:mi>X</mml:mi></mml:mfenced>", "(X)"),
        (
            "<mml:mfenced open='[' close=']'><mml:mi>a</mml:mi><mml:mi>b</mml:mi></mml:mfenced>",
            "[a,b]",
        ),
        ("<mml:mi>a</mml:mi><mml:mtext> or </mml:mtext><mml:mi>b</mml:mi>", "a or b"),
        (
            "<mml:semantics><mml:mi>x</mml:mi><mml:annotation>\\alpha</mml:annotation>"
            "</mml:semantics>",
            "x",
        ),
    ],
)
def test_mathml_is_kept_as_text(math: Any, expected: Any) -> None:
    assert text(f"see <mml:math {MML}> {math} </mml:math> here") == f"see {expected} here"


def test_real_mathml(shared_data: Path) -> None:
    tree = etree.parse(shared_data / "pubmed_xml" / "biopython_entrez" / "pubmed7.xml")
    (text,) = [clean_line(element_text(e)) for e in tree.iterfind(".//Abstract/AbstractText")]
    # The journal's own page: "(1) inhaled 3He/129Xe MRI ventilation ..., (3) ultrashort echo-time
    # 1H MRI proton density".
    assert "(1) inhaled 3He/129Xe MRI ventilation" in text
    assert "echo-time 1H MRI proton density" in text
