"""What a user may choose about the text of full articles."""

from pydantic import BaseModel, ConfigDict

from mediswift_cs.corpora.citations import Citations


class TextOptions(BaseModel):
    """What becomes text, and how.

    Attributes:
        tables: cells of tables, one line a row (captions are always text).
        references: the list of references.
        back: acknowledgements, abbreviations, appendices and notes.
        citations: ``brackets`` puts the marks of one place in one bracket, ``drop`` leaves them
            out; authors and years are text in both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: bool = False
    references: bool = False
    back: bool = False
    citations: Citations = "brackets"
