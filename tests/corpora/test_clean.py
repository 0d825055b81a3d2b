import unicodedata
from typing import Any

import pytest

from mediswift_cs.corpora.cleaning import clean_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\n words\t", "two words"),
        ("5\u2009mg\u00a0per\u3000day", "5 mg per day"),
        ("cafe\u0301", "caf\u00e9"),
        ("co\u00adoperate\u200b\ufeff", "cooperate"),
        ("a\x00b\x1bc\x7fd\x9fe", "abcde"),
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


def test_what_is_clean_stays_as_it_is() -> None:
    text = "H2O, 3\u20135 \u00b5m; \u2018x\u2019 \U0001d6fc"
    assert clean_line(text) == text
    # Control: compatibility forms would be changed by NFKC, which is not what is done.
    assert unicodedata.normalize("NFKC", text) != text


def test_ascii_shortcut_agrees_with_the_general_rule() -> None:
    every = "".join(map(chr, range(128)))
    assert clean_line(every) == clean_line(every + "\u00e9").removesuffix("\u00e9")
