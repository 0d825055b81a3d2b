"""Cleaning of text: Unicode NFC, no control or invisible characters, single spaces."""

import re
import unicodedata

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
