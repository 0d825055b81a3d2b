"""Citation marks in running text: one bracket for the marks of one place, or none at all.

While a line is collected, what came from a cross-reference stands between control characters that
XML cannot hold; :func:`resolve` makes text of them when all that is beside them is known.
"""

import re
from typing import Literal

Citations = Literal["brackets", "drop"]

_MARK, _MARK_END, _SUP, _SUP_END, _NAME, _NAME_END, _GAP = "\x02\x03\x04\x05\x0e\x0f\x06"
_NO_SIGNS = dict.fromkeys(map(ord, _MARK + _MARK_END + _SUP + _SUP_END + _NAME + _NAME_END))

# What to put around a superscript with a cross-reference in it.
SUPERSCRIPT = (_SUP, _SUP_END)

_DASHES = "\u2010-\u2015\u2212-"
_SEPARATORS = rf"[\s,;:{_DASHES}]"
# Of them, what may stand at the ends of a cross-reference.
_STRIPPED = " ,;\u2010\u2011\u2012\u2013\u2014\u2212-"
_LONGEST = 300
_NUMBER = r"[A-Za-z]{0,2}[0-9]{1,4}[A-Za-z]?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:{_SEPARATORS}+(?:(?:and|&)\s+)?(?:{_NUMBER}|[a-z]\b))*")
_YEAR = r"(?:1[5-9]|20)[0-9]{2}"
_YEARS = re.compile(rf"{_YEAR}[a-z]?(?:{_SEPARATORS}+(?:{_YEAR}[a-z]?|[a-z]\b))*")
_SYMBOLS = re.compile(r"[^\w\s,;:()\[\]]{1,4}(?:[\s,]+[^\w\s,;:()\[\]]{1,4})*")
_LETTERS = re.compile(r"(?:[A-Za-z]{1,2}|[ivxIVX]{1,5})(?:[\s,]+(?:[A-Za-z]{1,2}|[ivxIVX]{1,5}))*")
_ONLY_SEPARATORS = re.compile(rf"{_SEPARATORS}*")
_PAIRS = {"[": "]", "(": ")"}


def cited(text: str, *, is_note: bool, is_superscript: bool) -> tuple[str, str, str]:
    """What to put before, in the place of, and behind the text of a citing cross-reference.

    Args:
        text: all of it.
        is_note: it cites a note, whose marks may be letters.
        is_superscript: so may they be there; and no number is a year.
    """
    text = " ".join(text.split())
    inner = text
    if _PAIRS.get(text[:1]) == text[-1:] and text:
        inner = text[1:-1].strip()
    if _ONLY_SEPARATORS.fullmatch(inner):
        # "3", a dash and "5" may be three cross-references.
        return "", text, ""
    mark = inner.strip(_STRIPPED)
    if _is_mark(mark, is_note=is_note, is_superscript=is_superscript):
        before, _, after = inner.partition(mark)
        return before + _MARK, mark, _MARK_END + after
    return _NAME, text, _NAME_END


def _is_mark(text: str, *, is_note: bool, is_superscript: bool) -> bool:
    if len(text) > _LONGEST:
        return False
    if _NUMBERS.fullmatch(text):
        return is_superscript or not _YEARS.fullmatch(text)
    if _SYMBOLS.fullmatch(text):
        return True
    return (is_note or is_superscript) and _LETTERS.fullmatch(text) is not None


_ONE_MARK = rf"{_MARK}[^{_MARK}{_MARK_END}]*{_MARK_END}"
_SUPERSCRIPT = re.compile(rf"{_SUP}([^{_SUP}{_SUP_END}]*){_SUP_END}")
# Numbers without a cross-reference of their own: "<xref>3</xref>,4".
_ALL_MARKS = re.compile(
    rf"(?:{_ONE_MARK}|{_SEPARATORS}|[0-9]|(?<![A-Za-z{_MARK_END}])[A-Za-z](?![A-Za-z{_MARK}]))+"
)
_NUMBER_AND_MARK = re.compile(rf"[0-9a-z]{_MARK}|{_MARK_END}[0-9]")
_PLACE = re.compile(rf"{_ONE_MARK}(?:{_SEPARATORS}*{_ONE_MARK})*")
_SPACED_SEPARATOR = re.compile(rf"\s?([,;:{_DASHES}])\s?")
# A bracket of the text's own that stands at a word: "grown[3]".
_GLUED_BRACKET = re.compile(rf"(?<=[^\s(\[])(?=[\[(]{_MARK})")
_IN_BRACKET = re.compile(r"\[[^\[\]]{0,60}\Z")
# "as in ref. 12": the number is a word of the sentence.
_NAMED = re.compile(r"\b(?:refs?\.?|references?|citations?)(?: (?:no|nos|number)\.?)?\s?\Z", re.I)
# Longer than what _NAMED finds, so that it looks at no more.
_LONGEST_NAME = 24
_OPENING = "([{<\u201c\u2018/"
# How much of a line is looked at to know what stands before a mark.
_BEFORE = 80


def resolve(line: str, citations: Citations) -> str:
    """The text of a line that was collected with its citations."""
    if _MARK not in line and _NAME not in line:
        return line.translate(_NO_SIGNS) if _SUP in line else line
    line = " ".join(line.split())
    if _SUP in line:
        line = _SUPERSCRIPT.sub(_superscript, line).replace(_SUP, "").replace(_SUP_END, "")
    if _NAME in line:
        line = _names(line)
    if "[" + _MARK in line or "(" + _MARK in line:
        line = _GLUED_BRACKET.sub(" ", line)
    line = _PLACE.sub(_bracketed if citations == "brackets" else _dropped, line)
    return _close_gaps(line) if _GAP in line else line


def _superscript(match: re.Match[str]) -> str:
    """A superscript of marks is one mark; of others, such as an exponent and a mark, its parts."""
    inner = match[1].strip(" ,;")
    if _PAIRS.get(inner[:1]) == inner[-1:] and inner:
        inner = inner[1:-1]
    is_list = _ALL_MARKS.fullmatch(inner) and _MARK in inner
    starts = inner[:1].isalnum() or inner[:1] == _MARK
    if not (is_list and starts) or _NUMBER_AND_MARK.search(inner):
        return match[1]
    return f"{_MARK}{_as_one(inner)}{_MARK_END}"


def _names(line: str) -> str:
    """Authors and years stay text, but are joined to no other word."""
    line = line.replace(_NAME_END + _NAME, "; ")
    # "2001a" and "b" may be two cross-references, and "2001" one without its letter.
    line = re.sub(rf"(?<=[0-9]){_NAME}(?=[a-z]{_NAME_END})", "", line)
    line = re.sub(rf"(?<=\w){_NAME}(?=\w)", " ", line)
    line = re.sub(rf"(?<=[\w)\]]){_NAME_END}(?=\w)(?![a-z]\b)", " ", line)
    return line.replace(_NAME, "").replace(_NAME_END, "")


def _as_printed(text: str) -> str:
    return text.replace(_MARK_END + _MARK, ",").replace(_MARK, "").replace(_MARK_END, "")


def _as_one(text: str) -> str:
    text = _as_printed(text.replace(f"{_MARK_END} {_MARK}", ",")).strip()
    if " " in text:
        text = _SPACED_SEPARATOR.sub(r"\1", text).strip()
    return re.sub(",{2,}", ",", text) if ",," in text else text


def _is_set_off(before: str, after: str) -> bool:
    """Whether the text has brackets around the marks itself."""
    if before.endswith("(") and after.startswith(")"):
        return True
    return not before[-1:].isalnum() and _IN_BRACKET.search(before) is not None


def _is_named(before: str) -> bool:
    return _NAMED.search(before, max(0, len(before) - _LONGEST_NAME)) is not None


def _context(match: re.Match[str]) -> tuple[str, str]:
    start, end = match.span()
    return match.string[max(0, start - _BEFORE) : start], match.string[end : end + 1]


def _bracketed(match: re.Match[str]) -> str:
    before, after = _context(match)
    lead = "" if not before or before[-1].isspace() or before[-1] in _OPENING else " "
    tail = " " if after.isalnum() else ""
    if _is_set_off(before, after):
        return _as_printed(match[0]) + tail
    if _is_named(before):
        return f"{lead}{_as_printed(match[0])}{tail}"
    return f"{lead}[{_as_one(match[0])}]{tail}"


def _dropped(match: re.Match[str]) -> str:
    before, after = _context(match)
    if _is_named(before) and not _is_set_off(before, after):
        return _bracketed(match)
    return _GAP


_EMPTY_BRACKET = re.compile(rf" ?[\[(][ ,;{_GAP}]{{0,9}}{_GAP}[ ,;{_GAP}]*[\])]")
_AT_BRACKET = re.compile(rf"(?<=[\[(]){_GAP}[ ,;]*|[ ,;]{{0,3}}{_GAP}[ ,;]*(?=[\])])")
_LEFT_GAP = re.compile(rf" ?{_GAP}")


def _close_gaps(line: str) -> str:
    # Twice, for "([3])".
    line = _EMPTY_BRACKET.sub(_GAP, _EMPTY_BRACKET.sub(_GAP, line))
    return _LEFT_GAP.sub(_space_between_words, _AT_BRACKET.sub("", line))


def _space_between_words(match: re.Match[str]) -> str:
    before, after = _context(match)
    return " " if before[-1:].isalnum() and after.isalnum() else ""
