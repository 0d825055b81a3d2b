import random
import re
import sys
import unicodedata
from typing import Any

import pytest

from mediswift_cs.corpora.cleaning import Cleaning, clean_line, clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\n words\t", "two words"),
        ("5\u2009mg\u00a0per\u3000day", "5 mg per day"),
        ("cafe\u0301", "caf\u00e9"),
        ("co\u00adoperate\u200b\ufeff", "cooperate"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        # Windows-1252: a dash, an apostrophe, three dots; 0x81 means nothing, and keeps apart.
        ("10\x9620 mg, a patient\x92s\x85 5\x8120", "10\u201320 mg, a patient\u2019s\u2026 5 20"),
        ("a\x00b", "ab"),
        (
            "\u03b2-catenin \u2264 10\u207b\u00b3 \uff21",
            "\u03b2-catenin \u2264 10\u207b\u00b3 \uff21",
        ),
        ("p\u200dq", "p\u200dq"),
        ("", ""),
    ],
)
def test_clean_line(text: str, expected: Any) -> None:
    assert clean_line(text) == expected


def test_format_characters_go_whatever_they_are() -> None:
    """All of Unicode's category Cf, and others that show as nothing."""
    joiners = {0x200C, 0x200D}
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    every = {c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) == "Cf"}
    assert len(every) > 150
    more = {0x34F, 0x180B, 0xFE00, 0xFE0F, 0x3164, 0xFFFC, 0xE0100}
    for code in (every | more) - joiners - seen:
        assert clean_line(f"a{chr(code)}b") == "ab", hex(code)
    for code in joiners | seen | {0xFFFD, 0xE9, 0x1F600}:
        assert clean_line(f"a{chr(code)}b") == f"a{chr(code)}b", hex(code)


def test_cleaning_twice_changes_nothing() -> None:
    text = "e\u034f\u0301 \x85\u200b \u202ax\u202c"
    assert clean_line(text) == "\u00e9 \u2026 x" == clean_line(clean_line(text))


def test_what_is_clean_stays_as_it_is() -> None:
    text = "H2O, 3\u20135 \u00b5m; \u2018x\u2019 \U0001d6fc"
    assert clean_line(text) == text
    # Control: compatibility forms would be changed by NFKC, which is not what is done.
    assert unicodedata.normalize("NFKC", text) != text


def test_ascii_shortcut_agrees_with_the_general_rule() -> None:
    every = "".join(map(chr, range(128)))
    assert clean_line(every) == clean_line(every + "\u00e9").removesuffix("\u00e9")


def plainly_joined(text: str) -> str:
    """Cut words joined by one expression over the whole text, which is slow."""
    known = {word.lower() for word in re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)*", text)}

    def join(match: re.Match[str]) -> str:
        start, end = match[1], match[2]
        is_cut = (start + end).lower() in known and f"{start}-{end}".lower() not in known
        return start + end if is_cut else match[0]

    return re.sub(r"\b([A-Za-z]{2,})- ([a-z]{3,})\b", join, text)


def test_cut_words_are_found_as_by_one_expression() -> None:
    source = random.Random(0)
    pieces = ["con", "trol", "control", "Con", "con-trol", "CONTROL", "- ", "- ", "- ", " ", "-"]
    pieces += ["\u00e9", "3", "_", "ab", "\u212a", "\u017f", "\n", ".", "the", "- trol"]
    num_joined = 0
    for _ in range(20_000):
        text = "".join(source.choices(pieces, k=source.randint(2, 25)))
        lines = (clean_line(line) for line in text.split("\n"))
        text = "\n".join(line for line in lines if line)
        joined, counts = clean_text(text, Cleaning(boilerplate=False))
        assert joined == plainly_joined(text)
        num_joined += counts["joined_words"]
    # Control: there was something to join.
    assert num_joined > 5
