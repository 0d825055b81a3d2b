"""Cleaning of text: its characters, words cut at line ends, and lines about copyright."""

import re
import unicodedata
from collections.abc import Mapping

from pydantic import BaseModel

# Unicode's format characters, variation selectors and fillers: they show as nothing and split words
# into other tokens. (Zero-width joiners, 200c and 200d, stay: some scripts need them. So do the
# Arabic and Kaithi number signs, which Unicode calls format characters and which are seen.)
_INVISIBLE_RANGES = """
    ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b 200e-200f 202a-202e 2060-206f 3164 fe00-fe0f feff
    ffa0 fff0-fffc 13430-1343f 1bca0-1bca3 1d173-1d17a e0000-e0fff
"""


def _characters() -> dict[int, str | None]:
    """What becomes of a character that does not stay: another, or nothing."""
    table: dict[int, str | None] = {}
    for text in _INVISIBLE_RANGES.split():
        first, _, last = text.partition("-")
        table.update(dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1)))
    # C0 controls except those that str.split() takes for white space.
    table.update(dict.fromkeys(c for c in (*range(0x20), 0x7F) if not chr(c).isspace()))
    # C1 controls are windows-1252 that somebody took for Latin-1: 0x96 was meant as a dash. The
    # five that it leaves open still keep what is beside them apart.
    for code in range(0x80, 0xA0):
        table[code] = bytes([code]).decode("cp1252", "replace").replace("\ufffd", " ")
    return table


_CHARACTERS = _characters()
# Searching for them is faster than replacing, and few lines have any.
_CHARACTER = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x9f"
    + "".join(
        "-".join(rf"\U{int(code, 16):08x}" for code in codes.split("-"))
        for codes in _INVISIBLE_RANGES.split()
    )
    + "]"
)
_DROPPED_IN_ASCII = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


def clean_line(text: str) -> str:
    """One line of text: NFC, control and invisible characters dropped, white space collapsed.

    C1 controls become the characters of windows-1252 that were meant.

    White space is what ``str.split`` splits at (with no-break and thin spaces); nothing else is
    changed, so chemical names, Greek letters and full-width characters stay as they are.
    """
    if text.isascii():
        if not text.isprintable():
            text = _DROPPED_IN_ASCII.sub("", text)
    else:
        if _CHARACTER.search(text):
            text = text.translate(_CHARACTERS)
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


# The end of a cut word, which is much rarer than its beginning.
_CUT_END = re.compile(r"- ([a-z]{3,})\b")
# A sentence at the end of a line: "Copyright (c) 2010 John Wiley & Sons, Ltd."
_YEAR = r"(?:19|20)[0-9]{2}\b"
_IS_PROSE = r"(?:is|are|was|were|has|have|had|in|on|with|at|from|per|than|showed|died)\b"
_COPYRIGHT = re.compile(
    r"(?:^|(?<=[.!?]) |(?<=[.!?]\)) )"
    rf"(?:(?:copyright\s*)?(?:©|copyright|(?<=copyright )\(c\))\s*(?:\w+ ){{0,4}}?{_YEAR}"
    # "(c)" may also be the letter of a panel, so that only a year and a holder may follow.
    rf"|\(c\)\s*(?-i:(?:[A-Z]\w*,? |by |the |of |and ){{0,4}}?){_YEAR}"
    rf"(?-i:[,.;]?(?: by| the| The)*(?=$| [A-Z])(?!.{{0,200}}\s{_IS_PROSE})))"
    r".{0,200}$",
    re.IGNORECASE,
)
_PANEL = re.compile(r"\([ab]\)", re.IGNORECASE)
# What PMC itself puts under each supplementary file, at the end of its line.
CLICK_HERE = re.compile(
    r"(?:^|(?<=\S) ?)\(?Click here (?:for|to (?:view|download|access|see))\b"
    r"(?: (?:an?|the|this|additional|supplementary|supporting|data|information|material|file|files"
    r"|figure|table|video|movie|document|online|or|download))*[.:]?(?: ?\([^()]{0,40}\))?\.?\)?$"
)
_BOILERPLATE_LINE = re.compile(
    r"\W*(?:abstract truncated(?: at \d+ words)?|all rights reserved|copyright"
    r"|click here for additional data file)\W*",
    re.IGNORECASE,
)

CHANGES = ("joined_words", "copyright_sentences", "boilerplate_lines")


class Cleaning(BaseModel, extra="forbid", frozen=True):
    """What is taken out of texts: the choices of the user.

    Attributes:
        boilerplate: drop copyright sentences at the end of a line, and lines that say nothing.
        dehyphenate: join "con- trol" where the same text has "control" and nowhere "con-trol".
    """

    boilerplate: bool = True
    dehyphenate: bool = True


def clean_text(text: str, cleaning: Cleaning) -> tuple[str, Mapping[str, int]]:
    """The cleaned text (maybe empty), and how often each of :data:`CHANGES` was made."""
    counts = dict.fromkeys(CHANGES, 0)
    lines = [clean_line(line) for line in text.split("\n")]
    if cleaning.boilerplate:
        lines = [_without_boilerplate(line, counts) for line in lines]
    text = "\n".join(line for line in lines if line)
    if cleaning.dehyphenate:
        text = _join_words(text, counts)
    return text, counts


def _without_boilerplate(line: str, counts: dict[str, int]) -> str:
    if _BOILERPLATE_LINE.fullmatch(line):
        counts["boilerplate_lines"] += 1
        return ""
    lower = line.lower()
    if "©" in line or "(c)" in lower or "copyright" in lower:
        match = _COPYRIGHT.search(line)
        if match is None or (
            "(c)" in match[0].lower()[:6] and _PANEL.search(line, 0, match.start())
        ):
            return line
        line = line[: match.start()]
        counts["copyright_sentences"] += 1
    return line


def _join_words(text: str, counts: dict[str, int]) -> str:
    """Join what stands as "con- trol": two letters or more, a hyphen, a space, three or more."""
    parts: list[str] = []
    end = 0
    words: _Words | None = None
    for match in _CUT_END.finditer(text):
        beginning = _letters_before(text, match.start(), end)
        if len(beginning) < 2:
            continue
        words = words or _Words(text)
        # "pre- and post-operative", "low- dose": a hyphen that belongs there.
        if beginning + match[1] in words and f"{beginning}-{match[1]}" not in words:
            counts["joined_words"] += 1
            parts += (text[end : match.start()], match[1])
        else:
            parts.append(text[end : match.end()])
        end = match.end()
    return "".join((*parts, text[end:])) if parts else text


def _letters_before(text: str, place: int, first: int) -> str:
    """The letters that end at ``place``, if they begin a word; ``first``: where to stop looking."""
    start = place
    while start > first and text[start - 1].isascii() and text[start - 1].isalpha():
        start -= 1
    is_inside = start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_")
    return "" if is_inside else text[start:place]


class _Words:
    """Which words of ASCII letters and hyphens a text has, whatever their case.

    Few are ever asked for, so looking for each is faster than gathering them all.
    """

    def __init__(self, text: str) -> None:
        # As bytes, of which lower() changes ASCII letters alone, and keeps every place.
        self._content = text.encode("utf-8", "surrogatepass").lower()

    def __contains__(self, word: str) -> bool:
        content, wanted = self._content, word.lower().encode("ascii")
        start = content.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            before, after = content[max(0, start - 2) : start], content[end : end + 2]
            if not _goes_on(before[::-1]) and not _goes_on(after):
                return True
            start = content.find(wanted, start + 1)
        return False


def _goes_on(beside: bytes) -> bool:
    """Whether a word goes on with what is beside it: a letter, or a hyphen and a letter."""
    return beside[:1].isalpha() or (beside[:1] == b"-" and beside[1:].isalpha())
