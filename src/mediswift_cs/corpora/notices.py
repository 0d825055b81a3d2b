"""What an article or record says of itself: that it was retracted, or that it is a notice.

Notices are about another article: retractions, corrections, expressions of concern. Their type, a
link to that article, or the beginning of their title may say so.
"""

import re

RETRACTION, ERRATUM, CONCERN = "retraction_notice", "erratum", "expression_of_concern"
# The article itself was retracted.
RETRACTED = "retracted"

# By PubMed's publication types, under NLM's older and newer names.
PUBLICATION_TYPES = {
    "Retracted Publication": RETRACTED,
    "Retraction of Publication": RETRACTION,
    "Retraction Notice": RETRACTION,
    "Published Erratum": ERRATUM,
    "Expression of Concern": CONCERN,
}
# By the RefType of PubMed's CommentsCorrections.
REFERENCE_TYPES = {
    "RetractionIn": RETRACTED,
    "RetractionOf": RETRACTION,
    "PartialRetractionOf": RETRACTION,
    "ErratumFor": ERRATUM,
    "ExpressionOfConcernFor": CONCERN,
}
# By the article-type of JATS and PMC; the last ones are publishers' own.
ARTICLE_TYPES = {
    "retraction": RETRACTION,
    "partial-retraction": RETRACTION,
    "correction": ERRATUM,
    "expression-of-concern": CONCERN,
    "corrigendum": ERRATUM,
    "erratum": ERRATUM,
    "removal": RETRACTION,
    "withdrawal": RETRACTION,
    "retracted-article": RETRACTED,
    "withdrawn-article": RETRACTED,
}
# By the related-article-type, which names what the other article is to this one.
RELATED_ARTICLE_TYPES = {
    "retracted-article": RETRACTION,
    "partial-retraction": RETRACTION,
    "partially-retracted-article": RETRACTION,
    "removed-article": RETRACTION,
    "withdrawn-article": RETRACTION,
    "corrected-article": ERRATUM,
    "object-of-concern": CONCERN,
    "retraction-forward": RETRACTED,
    "removal-forward": RETRACTED,
    "withdrawal-forward": RETRACTED,
}

# How titles begin. Words that mean something else too, such as "Correction", need a colon or
# nothing behind them; the others may go on with "to".
_WORDS = {
    RETRACTED: (
        r"(?:retracted|withdrawn|removed)(?: (?:article|paper|chapter|publication))?",
        r"(?!)",
    ),
    RETRACTION: (
        r"(?:partial )?retraction",
        r"(?:notice|statement) of (?:retraction|withdrawal)"
        r"|(?:retraction|withdrawal) (?:notice|note)",
    ),
    ERRATUM: (r"(?:author |publisher )?corrections?", r"corrigend(?:um|a)|errat(?:um|a)"),
    CONCERN: (r"(?!)", r"(?:editorial )?expression of concern"),
}
_TITLE = re.compile(
    r"\W{0,3}(?:"
    rf"(?P<{RETRACTED}_>(?-i:RETRACTED|WITHDRAWN)\b)|"
    + "|".join(
        rf"(?P<{kind}>(?:{words}|{plain})(?: (?:to|of|for|on))?(?:\s*:|[.\s]*$)"
        rf"|(?:{plain}) (?:to|of|for|on)\b|(?<=[\[(])(?:{words}|{plain})[\])])"
        for kind, (words, plain) in _WORDS.items()
    )
    + ")",
    re.IGNORECASE,
)


def kind_by_title(title: str) -> str | None:
    """What a title that begins with ``RETRACTED:``, ``Correction to:`` and the like says."""
    match = _TITLE.match(title)
    return None if match is None or match.lastgroup is None else match.lastgroup.rstrip("_")
