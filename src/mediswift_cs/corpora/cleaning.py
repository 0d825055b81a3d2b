"""Cleaning of text: its characters, words cut at line ends, and lines about copyright."""

import re
import unicodedata
from collections.abc import Mapping

from pydantic import BaseModel

# Soft hyphen, zero-width space, directional marks, word joiner, byte order mark: they show as
# nothing and split words into other tokens. (Zero-width joiners stay: some scripts need them.)
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
# C0 and C1 controls except those that str.split() takes for white space.
_CONTROL = dict.fromkeys(c for c in (*range(0x20), *range(0x7F, 0xA0)) if not chr(c).isspace())
_DROPPED = _INVISIBLE | _CONTROL
_DROPPED_IN_ASCII = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


def clean_line(text: str) -> str:
    """One line of text: NFC, control and invisible characters dropped, white space collapsed.

    White space is what ``str.split`` splits at (with no-break and thin spaces); nothing else is
    changed, so chemical names, Greek letters and full-width characters stay as they are.
    """
    if text.isascii():
        text = _DROPPED_IN_ASCII.sub("", text)
    else:
        text = unicodedata.normalize("NFC", text).translate(_DROPPED)
    return " ".join(text.split())


_CUT_WORD = re.compile(r"\b([A-Za-z]{2,})- ([a-z]{3,})\b")
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
# A sentence at the end of a line: "Copyright (c) 2010 John Wiley & Sons, Ltd."
_COPYRIGHT = re.compile(
    r"(?:^|(?<=[.!?]) |(?<=[.!?]\)) )"
    r"(?:copyright\s*)?(?:©|\(c\)|copyright)\s*(?:\w+ ){0,4}?(?:19|20)[0-9]{2}\b.{0,200}$",
    re.IGNORECASE,
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
    if cleaning.dehyphenate and _CUT_WORD.search(text):
        text = _join_words(text, counts)
    return text, counts


def _without_boilerplate(line: str, counts: dict[str, int]) -> str:
    if _BOILERPLATE_LINE.fullmatch(line):
        counts["boilerplate_lines"] += 1
        return ""
    lower = line.lower()
    if "©" in line or "(c)" in lower or "copyright" in lower:
        line, number = _COPYRIGHT.subn("", line)
        counts["copyright_sentences"] += number
    return line


def _join_words(text: str, counts: dict[str, int]) -> str:
    known = {word.lower() for word in _WORD.findall(text)}

    def join(match: re.Match[str]) -> str:
        start, end = match[1], match[2]
        joined = (start + end).lower()
        # "pre- and post-operative", "low- dose": a hyphen that belongs there.
        if joined not in known or f"{start}-{end}".lower() in known:
            return match[0]
        counts["joined_words"] += 1
        return start + end

    return _CUT_WORD.sub(join, text)
