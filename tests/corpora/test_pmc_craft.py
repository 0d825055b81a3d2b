"""Full texts against CRAFT's gold text of the same articles.

Tokens are the bag of ``\\w+`` and single other non-space characters after Unicode NFKC. Recall is
against the gold's title, abstract and body, which is everything before the first of the headings in
BACK, without "Abstract" and PMC's own "Click here for additional data file" and the like. Precision
is against the whole gold, since older articles have the captions of their figures behind the
references.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.text_options import TextOptions

TOKEN = re.compile(r"\w+|[^\w\s]")
BACK = ("Acknowledgements", "Abbreviations", "Authors' contributions", "Footnotes")
NOT_THE_ARTICLES = ("Abstract", "Click here for additional data file.", "Click here for file")


def tokens(text: str) -> Any:
    return Counter(TOKEN.findall(unicodedata.normalize("NFKC", text)))


def gold_of(path: Path) -> Any:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    lines = [line.strip() for line in lines]
    end = next(number for number, line in enumerate(lines) if line in BACK)
    main = [line for line in lines[:end] if line not in NOT_THE_ARTICLES]
    return tokens("\n".join(lines)), tokens("\n".join(main))


def score(text: str, path: Path) -> Any:
    whole, main = gold_of(path)
    ours = tokens(text)
    precision = (ours & whole).total() / ours.total()
    recall = (ours & main).total() / main.total()
    return precision, recall


@pytest.fixture(scope="module")
def craft(shared_data: Path) -> Any:
    paths = sorted((shared_data / "pmc_nxml" / "craft").glob("*.nxml"))
    assert len(paths) == 24
    return paths


def test_precision_and_recall_of_every_article(craft: Any) -> None:
    for path in craft:
        (article,) = read_pmc(path, text_options=None)
        precision, recall = score(article.to_document(path.name).text, path)
        assert precision >= 0.999, path.name
        assert recall >= 0.999, path.name


def test_control_worse_texts_score_worse(craft: Any) -> None:
    """References lower precision; a lost body, or words joined, lower recall."""
    for path in craft[:5]:
        (more,) = read_pmc(path, text_options=TextOptions(references=True))
        assert score(more.to_document("x").text.replace(" ", "x"), path)[0] < 0.9
        assert len(more.body) > 1.05 * len(next(iter(read_pmc(path, text_options=None))).body)
        assert score(more.abstract, path)[1] < 0.5
        glued = re.sub(r"(\w) (\w)", r"\1\2", more.to_document("x").text, count=2000)
        assert score(glued, path)[1] < 0.97


def test_the_order_is_the_golds(craft: Any) -> None:
    """Every paragraph that the gold has too comes in the same order."""
    for path in craft:
        gold = [" ".join(line.split()) for line in path.with_suffix(".txt").read_text().split("\n")]
        (article,) = read_pmc(path, text_options=None)
        place = {line: number for number, line in enumerate(gold) if len(line) > 200}
        found = [place[line] for line in article.to_document("x").text.split("\n") if line in place]
        assert len(found) > 10
        assert found == sorted(found)
