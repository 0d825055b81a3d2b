"""Which records and articles become documents, and the reason for each that does not."""

from collections.abc import Sequence
from dataclasses import dataclass

from mediswift_cs.corpora.licence import COMMERCIAL
from mediswift_cs.corpora.pmc import Article
from mediswift_cs.corpora.pubmed import Record

# What becomes of a record: exactly one of these, so the counts add up to the records read.
OUTCOMES = (
    "kept",
    "no_pmid",
    "book",
    "superseded",
    "deleted",
    "retracted",
    "retraction_notice",
    "erratum",
    "expression_of_concern",
    "not_english",
    "no_abstract",
    "empty_text",
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The choices of the user; by default only what makes good training text is kept.

    Attributes:
        title_only: keep records without an abstract, as their title.
        other_languages: keep articles none of whose languages is English. (A record that states no
            language is always kept.)
        retracted: keep retracted articles.
        notices: keep retraction notices, published errata and expressions of concern.
    """

    title_only: bool = False
    other_languages: bool = False
    retracted: bool = False
    notices: bool = False

    def outcome(self, record: Record) -> str:
        """``"kept"``, or the first reason to leave the record out, looking at it alone."""
        if record.is_book:
            return "book"
        if record.pmid is None:
            return "no_pmid"
        if record.is_retracted and not self.retracted:
            return "retracted"
        if record.notice is not None and not self.notices:
            return record.notice
        if record.languages and "eng" not in record.languages and not self.other_languages:
            return "not_english"
        if not record.abstract and not self.title_only:
            return "no_abstract"
        if not record.abstract and not record.title:
            return "empty_text"
        return "kept"


@dataclass(frozen=True, kw_only=True)
class ArticleSelection:
    """The choices of the user; by default only what may be used commercially is kept.

    Attributes:
        licences: the classes that are kept, of :data:`~.licence.LICENCE_CLASSES`.
        other_languages: keep articles in other languages than English. (An article that states no
            language is always kept.)
        retracted: keep retracted articles.
        notices: keep retraction notices, errata and expressions of concern.
    """

    licences: Sequence[str] = (COMMERCIAL,)
    other_languages: bool = False
    retracted: bool = False
    notices: bool = False

    def outcome(self, article: Article) -> str:
        """``"kept"``, or the first reason to leave the article out; of each exactly one."""
        if article.is_other:
            return "not_an_article"
        if article.id is None:
            return "no_id"
        if article.licence.licence_class not in self.licences:
            return f"licence_{article.licence.licence_class.replace('-', '_')}"
        if article.is_retracted and not self.retracted:
            return "retracted"
        if article.notice is not None and not self.notices:
            return article.notice
        if article.language not in (None, "en") and not self.other_languages:
            return "not_english"
        return "kept" if article.body else "no_body"
