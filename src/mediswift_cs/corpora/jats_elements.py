"""What the reader makes of each element of JATS (to 1.3), NLM's DTDs before it, and TaxPub.

One table: an element is text, structure, or left out. What stands in none of the three is read as
text and counted by its name, so that nothing is lost in silence.
"""

from enum import Enum, auto
from functools import lru_cache

from lxml import etree

from mediswift_cs.corpora.mathml import MATH, local_name

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


class Role(Enum):
    """How an element becomes text."""

    # Text: in the line where it stands.
    INLINE = auto()
    WORD = auto()
    SPACED = auto()
    SUPERSCRIPT = auto()
    CROSS_REFERENCE = auto()
    RUBY_TEXT = auto()
    ET_AL = auto()
    PEOPLE = auto()
    TEX = auto()
    MATHML = auto()
    FORMULA = auto()
    CHOICE = auto()
    # Structure: lines of its own.
    LINES = auto()
    PARAGRAPH = auto()
    DEFINITION = auto()
    LABEL = auto()
    FLOAT = auto()
    PICTURE = auto()
    FORMULA_LINES = auto()
    CITATION = auto()
    TABLE = auto()
    REFERENCES = auto()
    # Left out: always, or where it does not stand in the midst of a sentence.
    HIDDEN = auto()
    LEFT_OUT = auto()
    # In none of the three.
    UNLISTED = auto()


_NAMES = {
    # Joined to what is beside them without any space that is not in the source.
    Role.INLINE: """
        abbrev aff annotation award-id award-desc award-name bold
        chem-struct code comment corresp data-title date-in-citation email ext-link
        fixed-case funding-source funding-statement gov inline-graphic inline-media
        inline-supplementary-material italic milestone-end milestone-start monospace nav-pointer
        on-behalf-of open-access overline overline-end overline-start patent price product
        related-article related-object resource-id resource-name rb roman ruby
        sans-serif sc std std-organization strike string-conf styled-content sub target
        textual-form underline underline-end underline-start uri version x
        abbrev-journal-title access-date anonymous article-version
        contract-num contract-sponsor grant-num grant-sponsor part-title series support-source
        self-uri time-stamp trans-source trans-title
        taxon-name material-citation
        """,
    # Two of them without anything between are words of their own: genus and species, name and
    # initials.
    Role.WORD: """
        addr-line article-title chapter-title city collab conf-acronym conf-date conf-loc
        conf-name conf-num conf-sponsor conf-theme conference country date day degrees edition era
        fax fpage elocation-id page-range institution institution-wrap isbn issn issn-l issue
        issue-id issue-part issue-sponsor issue-title journal-id lpage month name named-content
        given-names phone postal-code prefix pub-id source publisher-loc publisher-name role
        season series-text series-title size state string-date string-name suffix supplement
        surname taxon-authority taxon-name-part volume volume-id volume-issue-group volume-series
        year authority taxon-status
        """,
    Role.SPACED: "break hr td th entry",
    Role.SUPERSCRIPT: "sup",
    Role.CROSS_REFERENCE: "xref",
    Role.RUBY_TEXT: "rt",
    Role.ET_AL: "etal",
    Role.PEOPLE: "person-group",
    Role.TEX: "tex-math",
    Role.FORMULA: "inline-formula",
    # One of several forms of the same thing.
    Role.CHOICE: """
        alternatives aff-alternatives article-version-alternatives block-alternatives
        citation-alternatives collab-alternatives name-alternatives
        """,
    # Start and end a line of their own.
    Role.LINES: """
        abstract ack address answer answer-set app app-group attrib author-comment back bio body
        caption chem-struct-wrap def-head def-item def-list disp-formula-group disp-quote
        explanation floats-group floats-wrap fn-group glossary index index-div index-entry
        index-group legend list list-item note notes nav-pointer-group option preformat question
        question-preamble question-wrap question-wrap-group ref sec sig sig-block speaker speech
        statement subtitle table-wrap-foot term term-head title toc toc-div toc-entry toc-group
        tr row verse-group verse-line gloss-group
        nomenclature nomenclature-citation nomenclature-citation-list taxon-treatment treatment-sec
        """,
    Role.PARAGRAPH: "p",
    Role.DEFINITION: "def",
    Role.LABEL: "label",
    # Stand where their paragraph has a reference to them; moved behind it, so that no sentence is
    # cut.
    Role.FLOAT: """
        array fig fig-group table-wrap table-wrap-group supplementary-material fn boxed-text
        """,
    # The picture itself has no text; with a label or a caption it is a figure.
    Role.PICTURE: "graphic media",
    Role.FORMULA_LINES: "disp-formula",
    Role.CITATION: "element-citation mixed-citation nlm-citation citation",
    # Their cells are text if asked for.
    Role.TABLE: "table tbody thead tfoot tgroup",
    Role.REFERENCES: "ref-list",
    # Never drawn: a second form of what is text already, and instructions.
    Role.HIDDEN: """
        alt-text col colgroup colspec free_to_read glyph-data glyph-ref index-term
        index-term-range-end license_ref long-desc private-char rp spanspec
        """,
    # About the article or a part of it.
    Role.LEFT_OUT: """
        alt-title article-categories article-id article-meta author-notes award-group
        compound-kwd compound-kwd-part compound-subject
        compound-subject-part contrib contrib-group contrib-id contributed-resource-group
        copyright copyright-holder copyright-statement copyright-year count counts custom-meta
        custom-meta-group custom-meta-wrap date-not-available equation-count event event-desc
        extended-by fig-count front front-stub funding-group
        history institution-id journal-meta journal-subtitle
        journal-title journal-title-group issue-title-group issue-subtitle index-title-group
        toc-title-group kwd kwd-group license license-p meta-name meta-value
        nested-kwd object-id page-count permissions principal-award-recipient
        principal-investigator processing-meta pub-date pub-history publisher
        ref-count resource-group resource-wrap response restricted-by sec-meta see see-also
        see-also-entry see-entry sub-article subj-group subject support-description support-group
        table-count title-group trans-abstract trans-subtitle trans-title-group
        unstructured-kwd-group word-count treatment-meta
        """,
}
ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
assert len(ROLES) == sum(len(names.split()) for names in _NAMES.values())

# Captions, which are text wherever they stand.
CAPTIONED = frozenset(
    name for name, role in ROLES.items() if role in (Role.FLOAT, Role.PICTURE)
) - {"fn", "boxed-text"} | {"chem-struct-wrap"}
# In these a sentence goes on, so that even what is left out elsewhere is text.
SENTENCES = frozenset(
    (
        *("p", "bold", "italic", "sc", "underline", "sup", "sub"),
        *("named-content", "styled-content", "ext-link", "xref", "email", "uri"),
    )
)
# May stand beside a translation of themselves.
TRANSLATED = frozenset(("abstract", "caption", "sec", "title"))


@lru_cache(maxsize=4096)
def role_of(tag: object) -> Role:
    """The role of an element, whatever its namespace."""
    if not isinstance(tag, str):
        # Comments and instructions.
        return Role.HIDDEN
    return Role.MATHML if tag == MATH else ROLES.get(local_name(tag), Role.UNLISTED)


def language_of(element: etree._Element) -> str | None:
    """The first two letters of the language that an element states, None if it states none."""
    return (element.get(_LANGUAGE) or "").strip().lower()[:2] or None
