"""Real articles, and small ones made from users' reports: nothing glued, lost or let in.

The files are shared test data and not part of this package; where they are absent, the tests skip.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mediswift_cs.corpora.mathml import MATHML
from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.pubmed import read_pubmed
from mediswift_cs.corpora.selection import ArticleSelection, Selection
from mediswift_cs.corpora.text_options import TextOptions

# File, and what its text has to say or to be.
TEXTS = {
    "cite_sup_word": ["were cultured [12] and the p53 [3,4] pathway rose by 10 [7]."],
    "cite_adjacent": ["developed [9,10,11]. The rest [1,2] below 20 mm [19,20]."],
    "cite_fn": ["the database [1] for build [2] data"],
    "attrib_tablenote": ["CK, control without nitrogen; LA, leaf area."],
    "inline_supp": ["Markers (Appendix S3) were"],
    "rel_article_inline": ["In this issue, Miller et al. (2019) show that"],
    "n_graphic_caption": ["Scheme 1 Synthesis route."],
    "math_matrix": ["10, 20; 30, 40"],
    "n_m_align": ["a=1; b=2"],
    "n_m_frac": ["V (a+b)/c w."],
    "n_m_mspace": ["V and so w."],
    "formula_no_alternatives": ["If R0≥1 it spreads, and R0≥1 too."],
    "default_ns": ["Body words here."],
    "epmc_articles": ["Body words here."],
    "n_elemcit": ["Smith J, Doe K. On mice. J Own. 2001;12:3"],
    "caption_c": ["(C) 2000 cells were counted in each group and 90% died."],
    "back_app_fig": ["App cap", "Data cap."],
    "entity_c1": ["10\u201320 mg, the patient\u2019s."],
    "abstract_two_langs": ["English abstract."],
    "subarticle_translation": ["English title\nEnglish abstract.\nEnglish body."],
    "taxon": ["Aus bus and Cus dus."],
    "chem": ["CCO"],
}
ABSENT = {
    "clickhere": "Click here",
    "abstract_two_langs": "Résumé",
    "formula_no_alternatives": "ge 1",
    "n_elemcit": "2001123",
}
OUTCOMES = {"partial_retraction": "retraction_notice", "corr_by_link": "erratum"}


@pytest.fixture(scope="module")
def faults(shared_data: Path) -> Path:
    folder = shared_data / "faults"
    if not folder.is_dir():
        pytest.skip(f"no folder of faults in the test data: {folder}")
    return folder


@pytest.mark.parametrize("name", [*TEXTS, *ABSENT, *OUTCOMES, "only_pmid"])
def test_pmc(faults: Path, name: str) -> None:
    path = faults / "pmc" / f"{name}.xml"
    options = TextOptions(references=True, back=name == "back_app_fig")
    (article,) = read_pmc(path, text_options=options)
    assert ArticleSelection().outcome(article) == OUTCOMES.get(name, "kept")
    text = article.to_document(path.name).text
    for part in TEXTS.get(name, []):
        assert text.count(part) == 1
    assert ABSENT.get(name, "\0") not in text
    if name == "only_pmid":
        assert article.id == "pubmed:11597317"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("invisible_math", "sinx=2y was found."),
        ("bidi", "plain and isolate text ."),
        ("c1_dash", "10\u201320 mg, a patient\u2019s report, \u201cquoted\u201d text."),
        ("label_colon", "RESULTS: Fine."),
    ],
)
def test_pubmed(faults: Path, name: str, expected: str) -> None:
    (record,) = read_pubmed(faults / "pubmed" / f"{name}.xml")
    assert record.abstract.endswith(expected)


def test_pubmed_titles(faults: Path) -> None:
    (record,) = read_pubmed(faults / "pubmed" / "retracted_title.xml")
    assert Selection().outcome(record) == "retracted"


CITING = ("bibr", "fn", "table-fn")


def glued_citations(root: Any, text: str) -> Iterator[str]:
    """Words and numbers of the text that are one in the source and its citation behind it."""
    paths = (f".//{name}//xref" for name in ("body", "abstract"))
    for reference in (each for path in paths for each in root.iterfind(path)):
        mark = "".join(reference.itertext()).strip()
        before = words_before(reference)
        if reference.get("ref-type") not in CITING or not re.fullmatch("[0-9]{1,3}", mark):
            continue
        word = re.search(r"(?:[A-Za-z]{4,}|[0-9]{3,})\Z", before)
        if word and re.search(rf"(?<![\w-]){re.escape(word[0] + mark)}(?![\w-])", text):
            yield word[0] + mark


def words_before(reference: Any) -> str:
    """What stands before a cross-reference in its paragraph, as joined text."""
    paragraph = next(reference.iterancestors("p", "title", "td"), reference.getparent())
    parts: list[str] = []
    for event, element in etree.iterwalk(paragraph, events=("start", "end")):
        if element is reference:
            break
        parts.append((element.text if event == "start" else element.tail) or "")
    return "".join(parts)


def lost_notes(root: Any, text: str) -> Iterator[str]:
    plain = "".join(re.findall(r"[a-z]+", text.lower()))
    for note in root.iterfind(".//body//attrib"):
        for part in note.itertext():
            letters = "".join(re.findall("[a-z]+", part.lower()))
            if len(letters) > 5 and letters not in plain:
                yield letters


def glued_cells(root: Any, text: str) -> Iterator[str]:
    """Rows of numbers whose cells the text has as one number."""
    for row in root.iterfind(f".//body//{MATHML}mtr"):
        cells = ["".join("".join(cell.itertext()).split()) for cell in row]
        joined = "".join(cells)
        if len(cells) > 1 and all(cells) and len(joined) > 4 and joined in text:
            yield joined


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Any:
    paths = sorted((shared_data / "pmc_nxml" / "oa").glob("*.nxml"))
    if not paths:
        pytest.skip("no real open-access articles in the test data")
    assert len(paths) == 117
    return [
        (etree.parse(path).getroot(), list(read_pmc(path, text_options=None))) for path in paths
    ]


def counts_of(real: Any, change: Any = lambda text: text) -> Any:
    counts: Counter[str] = Counter()
    for root, (article,) in real:
        text = change("\n".join((article.title, article.abstract, article.body)))
        counts["citations"] += len(list(glued_citations(root, text)))
        counts["notes"] += len(list(lost_notes(root, text)))
        counts["cells"] += len(list(glued_cells(root, text)))
    return counts


def test_real_articles_have_nothing_glued_and_no_note_lost(real: Any) -> None:
    assert counts_of(real) == Counter(citations=0, notes=0, cells=0)
    assert sum((Counter(article.unlisted) for _, (article,) in real), Counter()) == Counter()


def test_control_the_counts_see_what_is_glued_and_lost(real: Any) -> None:
    def without_marks(text: str) -> str:
        return re.sub(r" \[([0-9])", r"\1", text).replace("]", "").replace(", ", "")

    worse = counts_of(real, without_marks)
    assert worse["citations"] > 500
    assert worse["cells"] > 1
    assert counts_of(real, lambda text: text[:5000])["notes"] > 20


# What is left out on purpose: numbers of catalogues, licences of single figures, second forms of
# formulas, and what PMC puts under files.
LEFT_OUT = frozenset(
    [
        "pub-id",
        "object-id",
        "isbn",
        "date-in-citation",
        "permissions",
        "tex-math",
        "annotation",
        "alt-text",
    ]
)


def letters_of(text: str | None) -> str:
    return re.sub(r"[\W_]", "", text or "").lower()


def lost_texts(root: Any, text: str) -> Iterator[str]:
    """Pieces of body and back matter that the text does not have."""
    plain = letters_of(text)
    for part in root.iterchildren("body", "back", "floats-group"):
        for piece in part.xpath(".//text()"):
            owner = piece.getparent() if piece.is_text else piece.getparent().getparent()
            names = {owner.tag, *(each.tag for each in owner.iterancestors())}
            letters = letters_of(piece)
            if len(letters) > 6 and letters not in plain and not names & LEFT_OUT:
                yield str(piece)


def test_all_text_of_real_articles_is_read(shared_data: Path) -> None:
    paths = sorted((shared_data / "pmc_nxml" / "oa").glob("*.nxml"))
    if not paths:
        pytest.skip("no real open-access articles in the test data")
    lost, cells = [], 0
    for path in paths[::3]:
        root = etree.parse(path).getroot()
        for tables in (True, False):
            options = TextOptions(tables=tables, back=True, references=True)
            (article,) = read_pmc(path, text_options=options)
            found = [t for t in lost_texts(root, article.body) if "Click here" not in t]
            lost += found if tables else []
            cells += 0 if tables else len(found)
    assert lost == []
    # Control: cells are lost where they are not asked for.
    assert cells > 100
