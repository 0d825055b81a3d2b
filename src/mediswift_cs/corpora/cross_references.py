"""Which cross-references of an article cite a reference or a note."""

from functools import cached_property

from lxml import etree

# As JATS and publishers name what is referred to.
REFERENCE_TYPES = frozenset(("bibr", "bib", "bibl", "bibliography", "citation", "ref", "reference"))
NOTE_TYPES = frozenset(
    ("fn", "footnote", "table-fn", "tfn", "author-notes", "corresp", "endnote", "note", "other-fn")
)


class CrossReferences:
    """The cross-references of one article.

    Args:
        part: any element of the article.
    """

    def __init__(self, part: etree._Element) -> None:
        self._part = part

    def kind(self, reference: etree._Element) -> str | None:
        """The ref-type of one that cites a reference or a note, None of any other."""
        kind = (reference.get("ref-type") or "").strip().lower()
        if kind in REFERENCE_TYPES or kind in NOTE_TYPES:
            return kind
        targets = () if kind else (reference.get("rid") or "").split()
        return next((self._targets[name] for name in targets if name in self._targets), None)

    @cached_property
    def _targets(self) -> dict[str, str]:
        """The identifiers of references and notes, for cross-references that state no type."""
        root = self._part.getroottree().getroot()
        article = next(self._part.iterancestors("article"), root)
        found = article.iter("ref", "fn")
        return {e.get("id", ""): "bibr" if e.tag == "ref" else "fn" for e in found}


def text_of_reference(reference: etree._Element) -> str:
    """All text of a cross-reference; a number raised behind a word is kept from it."""
    parts = [reference.text or ""]
    for child in reference:
        is_behind_word = parts[-1][-1:].isalpha() or parts[-1].endswith(".")
        parts.append(" " if child.tag == "sup" and is_behind_word else "")
        parts += ("".join(child.itertext()), child.tail or "")
    return "".join(parts)
