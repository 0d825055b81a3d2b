"""The one rule that says which texts are numbers of PubMed."""

# PMIDs have one to eight digits (NLM's DTD).
MAX_PMID = 99_999_999
_MAX_DIGITS = len(str(MAX_PMID))


def parse_pmid(text: str | None) -> int | None:
    """The number that ``text`` is, None if it is no PMID: nothing is cut off or guessed at."""
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        return None
    return int(text) or None
