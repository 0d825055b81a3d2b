"""Citation marks: one bracket a place or none, never joined to a word or a number."""

import re
from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora.jats_text import TextCollector
from mediswift_cs.corpora.text_options import TextOptions


def line_of(inner: str, **options: Any) -> Any:
    element = etree.fromstring(f"<article><body><p>{inner}</p></body></article>")
    collector = TextCollector(TextOptions(**options), language=None)
    collector.add(element[0])
    return "\n".join(collector.lines)


def ref(text: Any, kind: str = "bibr") -> str:
    return f'<xref ref-type="{kind}" rid="b{text}">{text}</xref>'


CASES = [
    # (source, with brackets, without marks)
    (f"was grown<sup>{ref(12)}</sup>.", "was grown [12].", "was grown."),
    (f"grown{ref(9)}{ref(10)}{ref(11)}. It", "grown [9,10,11]. It", "grown. It"),
    (f"at 20 mm{ref(19)}{ref(20)}", "at 20 mm [19,20]", "at 20 mm"),
    (f"grown<sup>{ref(1)}</sup><sup>,</sup><sup>{ref(2)}</sup> in", "grown [1,2] in", "grown in"),
    (f"grown<sup>{ref(1)}\u2013{ref(5)}, {ref(7)}</sup>", "grown [1\u20135,7]", "grown"),
    (f"grown<sup>{ref(1)}</sup><sup>-</sup><sup>{ref(3)}</sup>.", "grown [1-3].", "grown."),
    (f"grown<sup>{ref(3)},4</sup> in", "grown [3,4] in", "grown in"),
    (f"grown<sup>{ref(1)} {ref(3)}</sup>.", "grown [1,3].", "grown."),
    (f"grown<sup>({ref(1)})</sup>.", "grown [1].", "grown."),
    ('grown<xref ref-type="bibr"><sup>3</sup></xref> in', "grown [3] in", "grown in"),
    ('grown<xref ref-type="bibr">[3]</xref><xref ref-type="bibr">[4]</xref>.', "grown [3,4].", 0),
    ('grown<xref ref-type="bibr">(1, 3\u20135)</xref>.', "grown [1,3\u20135].", "grown."),
    (
        f'grown{ref(1)}<xref ref-type="bibr" rid="b2"/>\u2013{ref(3)}.',
        "grown [1\u20133].",
        "grown.",
    ),
    (
        'grown<sup><xref ref-type="bibr">1</xref><xref ref-type="bibr">\u20133</xref></sup>',
        "grown [1\u20133]",
        0,
    ),
    (f"growth.<sup>{ref(1)}</sup> Then", "growth. [1] Then", "growth. Then"),
    (f"p53<sup>{ref(3)}</sup>pathway", "p53 [3] pathway", "p53 pathway"),
    (f"in 1998{ref(4, 'fn')} we", "in 1998 [4] we", "in 1998 we"),
    (f"build<sup>{ref('a', 'fn')}</sup>, P{ref('*', 'table-fn')}", "build [a], P [*]", "build, P"),
    ('grown<sup><xref rid="b1">1</xref></sup>', "grown [1]", "grown"),
    # What the text sets off itself is as printed.
    (f"grown [{ref(1)}, {ref(2)}\u2013{ref(4)}] in", "grown [1, 2\u20134] in", "grown in"),
    (f"grown ({ref(1)},{ref(2)}).", "grown (1,2).", "grown."),
    (f"[reviewed in {ref(3)}]", "[reviewed in 3]", "[reviewed in]"),
    (f"[{ref(3)}, and others]", "[3, and others]", "[and others]"),
    (f"[is grown{ref(3)}]", "[is grown [3]]", "[is grown]"),
    (
        f"grown[{ref(1)},{ref(2)}] and seen.[{ref(3)}]",
        "grown [1,2] and seen. [3]",
        "grown and seen.",
    ),
    (f"(Figure 6A; [{ref(1)}])", "(Figure 6A; [1])", "(Figure 6A)"),
    (f"([{ref(1)}], and here) ([{ref(2)}]).", "([1], and here) ([2]).", "(and here)."),
    # A number that is a word of the sentence stays.
    (f"as in ref. {ref(12)} and", "as in ref. 12 and", "as in ref. 12 and"),
    # Exponents, isotopes and formulas stay joined, and apart from marks beside them.
    ("10<sup>5</sup> H<sub>2</sub>O <sup>14</sup>C", "105 H2O 14C", "105 H2O 14C"),
    (f"kg/m<sup>2</sup><sup>{ref(3)}</sup> a", "kg/m2 [3] a", "kg/m2 a"),
    (f"kg/m<sup>2{ref(3)}</sup> a", "kg/m2 [3] a", "kg/m2 a"),
    (f"rose by 10<sup>{ref(7)}</sup>.", "rose by 10 [7].", "rose by 10."),
]


@pytest.mark.parametrize(("source", "brackets", "dropped"), CASES)
def test_marks(source: str, brackets: str, dropped: Any) -> None:
    assert line_of(source) == brackets
    assert line_of(source, citations="drop") == (dropped or re.sub(r" \[.*\]", "", brackets))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('Miller et al. (<xref ref-type="bibr">2019</xref>) show', "Miller et al. (2019) show"),
        ('Miller <xref ref-type="bibr">(2019a)</xref> show', "Miller (2019a) show"),
        (
            '(<xref ref-type="bibr">Doe, 2018a</xref>,<xref ref-type="bibr">b</xref>)',
            "(Doe, 2018a,b)",
        ),
        ('Miller<xref ref-type="bibr">2019</xref>a show', "Miller 2019a show"),
        ('(<xref ref-type="bibr">1998\u20132004</xref>)', "(1998\u20132004)"),
        ('<xref ref-type="bibr">Doe et al.<sup>12</sup></xref> say', "Doe et al. 12 say"),
        ('see<xref ref-type="bibr">Doe, 1999</xref>and', "see Doe, 1999 and"),
        (
            '<xref ref-type="bibr">Doe, 1999</xref><xref ref-type="bibr">Roe, 2000</xref>',
            "Doe, 1999; Roe, 2000",
        ),
        ('Fig. <xref ref-type="fig">1</xref>A', "Fig. 1A"),
        ('Eq. (<xref ref-type="disp-formula">3</xref>)', "Eq. (3)"),
    ],
)
def test_authors_years_and_other_references_stay_text(source: str, expected: str) -> None:
    assert line_of(source) == expected
    assert line_of(source, citations="drop") == expected


def test_a_reference_without_a_type_is_known_by_its_target() -> None:
    element = etree.fromstring(
        '<article><body><p>grown<xref rid="b1">1</xref> <xref rid="f1">2</xref></p></body><back>'
        '<ref-list><ref id="b1"/></ref-list></back></article>'
    )
    collector = TextCollector(TextOptions(), language=None)
    collector.add(element[0])
    assert collector.lines == ["grown [1] 2"]


def test_many_marks_take_linear_time() -> None:
    for text in (ref(1) * 20_000, f"a {ref(1)} b " * 10_000, f"<sup>{ref(1)},</sup>" * 10_000):
        for citations in ("brackets", "drop"):
            line = line_of(text + "[" * 5000 + "," * 5000, citations=citations)
            assert ("1" in line) == (citations == "brackets")
