from typing import Any

import pytest

from mediswift_cs.corpora.cleaning import CHANGES, Cleaning, clean_text
from mediswift_cs.corpora.pubmed import read_pubmed

from .conftest import record


def cleaned(text: str, **options: Any) -> Any:
    result, counts = clean_text(text, Cleaning(**options))
    assert tuple(counts) == CHANGES
    return result, {name: number for name, number in counts.items() if number}


@pytest.mark.parametrize(
    "sentence",
    [
        "Copyright © 2010 John Wiley & Sons, Ltd.",
        "© 2019 The Authors. Published by Elsevier.",
        "(c) 1999 Academic Press.",
        "Copyright 2003 Wiley-Liss, Inc.",
        "Copyright (c) 2010 John Wiley & Sons, Ltd.",
        "(C) 2005 by Elsevier.",
        "(c) The Authors 2012.",
        "© The Author(s) 2020. All rights reserved.".replace("(s)", "s"),
    ],
)
def test_copyright_at_the_end_goes(sentence: Any) -> None:
    assert cleaned(f"Mice grew. {sentence}") == ("Mice grew.", {"copyright_sentences": 1})
    assert cleaned(f"Mice grew. {sentence}", boilerplate=False)[1] == {}


@pytest.mark.parametrize(
    "text",
    [
        "We studied copyright law in 2010 and found much.",
        "Groups (a), (b) and (c) had 2000 mice each.",
        "Copyright is a right.",
        "(A) Control. (B) Treated. (C) 2000 cells were counted and 90% died.",
        "Responses. (C) 2000 cells were counted.",
        "(A) Left. (c) 2015 Samples of the lake.",
        "(C) In 2001 patients were seen.",
    ],
)
def test_text_about_copyright_stays(text: str) -> None:
    assert cleaned(text) == (text, {})


def test_lines_that_say_nothing_go() -> None:
    text = "Mice grew.\nAll rights reserved.\n(ABSTRACT TRUNCATED AT 250 WORDS)\nEnd."
    assert cleaned(text) == ("Mice grew.\nEnd.", {"boilerplate_lines": 2})
    assert cleaned("All rights reserved.") == ("", {"boilerplate_lines": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The con- trol and the control.", "The control and the control."),
        ("The Con- trol and the control.", "The Control and the control."),
        # Not sure: no such word elsewhere, or also written with a hyphen.
        ("The con- trol.", "The con- trol."),
        ("low- dose, low-dose, lowdose", "low- dose, low-dose, lowdose"),
    ],
)
def test_words_are_joined_only_where_sure(text: str, expected: Any) -> None:
    result, counts = cleaned(text)
    assert result == expected
    assert counts == ({} if text == expected else {"joined_words": 1})
    assert cleaned(text, dehyphenate=False)[0] == text


def test_the_mark_of_a_truncated_abstract_goes(pubmed_file: Any) -> None:
    marks = ("(ABSTRACT TRUNCATED AT 250 WORDS)", "(ABSTRACT TRUNCATED)", "[Abstract truncated]")
    path = pubmed_file(*(record(n, abstract=f"It is. {m}") for n, m in enumerate(marks, 1)))
    assert [r.abstract for r in read_pubmed(path)] == ["It is."] * 3
