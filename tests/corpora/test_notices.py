"""What says that an article was retracted, or that it is a notice about another one."""

from typing import Any

import pytest

from mediswift_cs.corpora.notices import CONCERN, ERRATUM, RETRACTED, RETRACTION, kind_by_title
from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.pubmed import read_pubmed
from mediswift_cs.corpora.selection import ArticleSelection, Selection

from .conftest import record
from .test_pmc import META, article

# All article-types that JATS and PMC name, and what is not an article of its own.
ARTICLE_TYPES = {
    "retraction": RETRACTION,
    "partial-retraction": RETRACTION,
    "correction": ERRATUM,
    "expression-of-concern": CONCERN,
    **dict.fromkeys(
        [
            "abstract",
            "addendum",
            "announcement",
            "article-commentary",
            "book-review",
            "books-received",
            "brief-report",
            "calendar",
            "case-report",
            "collection",
            "data-paper",
            "discussion",
            "dissertation",
            "editorial",
            "in-brief",
            "introduction",
            "letter",
            "meeting-report",
            "methods-article",
            "news",
            "obituary",
            "oration",
            "other",
            "product-review",
            "rapid-communication",
            "reply",
            "reprint",
            "research-article",
            "review-article",
            "systematic-review",
            "translation",
        ]
    ),
}
RELATED = {
    "retracted-article": RETRACTION,
    "partial-retraction": RETRACTION,
    "corrected-article": ERRATUM,
    "object-of-concern": CONCERN,
    "retraction-forward": RETRACTED,
    **dict.fromkeys(
        [
            "addended-article",
            "addendum",
            "article-reference",
            "commentary",
            "commentary-article",
            "companion",
            "correction-forward",
            "letter",
            "letter-reply",
            "peer-reviewed-article",
            "preprint",
            "republished-article",
            "translated-article",
            "updated-article",
        ]
    ),
}


def outcome_of(tmp_path: Any, content: str) -> Any:
    path = tmp_path / "a.xml"
    path.write_text(content)
    (found,) = read_pmc(path, text_options=None)
    return ArticleSelection(licences=("other",)).outcome(found)


@pytest.mark.parametrize(("name", "kind"), ARTICLE_TYPES.items())
def test_article_types(tmp_path: Any, name: str, kind: Any) -> None:
    for written in (name, name.title()):
        text = article(attributes=f'article-type="{written}"')
        assert outcome_of(tmp_path, text) == (kind or "kept")


@pytest.mark.parametrize(("name", "kind"), RELATED.items())
def test_links(tmp_path: Any, name: str, kind: Any) -> None:
    link = f'<related-article related-article-type="{name}"/>'
    text = article(meta=META + link, attributes='article-type="other"')
    assert outcome_of(tmp_path, text) == (kind or "kept")
    # In the text, it is about another article still.
    assert outcome_of(tmp_path, article(f"<p>See {link}.</p>")) == "kept"


TITLES = {
    "RETRACTED: Effects of a drug.": RETRACTED,
    "RETRACTED ARTICLE: Effects": RETRACTED,
    "[Retracted] Effects": RETRACTED,
    "RETRACTED - Effects": RETRACTED,
    '"RETRACTED: Effects"': RETRACTED,
    "Retraction Note to: Effects": RETRACTION,
    "WITHDRAWN: Effects": RETRACTED,
    "Retraction: Effects": RETRACTION,
    "Retraction notice to 'Effects'": RETRACTION,
    "Partial retraction: Effects": RETRACTION,
    "Notice of Retraction.": RETRACTION,
    "Correction to: Effects": ERRATUM,
    "Author Correction: Effects": ERRATUM,
    "Corrigendum": ERRATUM,
    "Erratum to Effects": ERRATUM,
    "Expression of Concern: Effects": CONCERN,
    "Retraction of the upper eyelid": None,
    "Correction of scoliosis in adults": None,
    "Withdrawal of opioids: a review": None,
    "Corrections officers and health": None,
    "Retracted eardrums in children": None,
    "A retracted: claim": None,
}


@pytest.mark.parametrize(("title", "kind"), TITLES.items())
def test_titles(tmp_path: Any, pubmed_file: Any, title: str, kind: Any) -> None:
    assert kind_by_title(title) == kind
    (found,) = read_pubmed(pubmed_file(record(1, title=title)))
    assert Selection().outcome(found) == (kind or "kept")
    named = META.replace("On <italic>mon</italic> mice", title)
    named = named.replace("<subtitle>A study</subtitle>", "")
    assert title in named
    assert outcome_of(tmp_path, article(meta=named)) == (kind or "kept")


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("RetractionIn", "retracted"),
        ("RetractionOf", "retraction_notice"),
        ("ErratumFor", "erratum"),
        ("ExpressionOfConcernFor", "expression_of_concern"),
        ("CommentIn", "kept"),
        ("ErratumIn", "kept"),
    ],
)
def test_links_of_pubmed(pubmed_file: Any, kind: str, outcome: str) -> None:
    link = f'<CommentsCorrectionsList><CommentsCorrections RefType="{kind}"/>'
    text = record(1).replace("</Article>", f"</Article>{link}</CommentsCorrectionsList>")
    (found,) = read_pubmed(pubmed_file(text))
    assert Selection().outcome(found) == outcome


def test_a_type_counts_more_than_a_title(pubmed_file: Any) -> None:
    notice = record(1, title="RETRACTED: Effects.", kind="Retraction of Publication")
    (found,) = read_pubmed(pubmed_file(notice))
    assert Selection().outcome(found) == "retraction_notice"


def test_titles_of_a_real_file(sample_files: Any) -> None:
    wanted = {15320745: "retracted", 34086546: "erratum", 34086549: "erratum"}
    path = sample_files["pubmed21n1298.xml.gz"]
    found = {r.pmid: Selection().outcome(r) for r in read_pubmed(path) if getattr(r, "title", "")}
    assert {pmid: found[pmid] for pmid in wanted} == wanted
