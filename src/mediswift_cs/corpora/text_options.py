"""What a user may choose about the text of full articles."""

from dataclasses import dataclass

from mediswift_cs.corpora.citations import Citations


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What becomes text, and how.

    Attributes:
        tables: cells of tables, one line a row (captions are always text).
        references: the list of references.
        back: acknowledgements, abbreviations, appendices and notes.
        citations: ``brackets`` puts the marks of one place in one bracket, ``drop`` leaves them
            out; authors and years are text in both.
    """

    tables: bool = False
    references: bool = False
    back: bool = False
    citations: Citations = "brackets"
