"""What is taken out of whole documents: words cut at line ends, and lines about copyright."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mediswift_cs.corpora.clean import clean_line

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """The choices of the user.

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
