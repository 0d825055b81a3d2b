"""Damaged and hostile files: one sentence each, nothing expanded, nothing skipped."""

import gzip
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.pubmed import read_pubmed
from mediswift_cs.errors import DataError

from .conftest import article_set, deletion, record

GOOD = article_set(*(record(pmid) for pmid in range(1, 400)))
NLM = '<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD" "http://dtd.nlm.nih.gov/x.dtd">'


def bomb(definitions: Any, text: str) -> Any:
    prolog = f'<?xml version="1.0"?><!DOCTYPE PubmedArticleSet [{definitions}]>'
    return article_set(record(1, abstract=text), prolog=prolog)


LAUGHS = '<!ENTITY a0 "lol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
)
PARAMETER_LAUGHS = (
    '<!ENTITY % p0 "<!-- x -->">'
    + "".join(f'<!ENTITY % p{n} "{f"&#37;p{n - 1};" * 10}">' for n in range(1, 12))
    + "%p11;"
)

CASES = {
    "cut gzip": (gzip.compress(GOOD.encode())[:-300], "cut short or not a gzip file"),
    "gzip with a wrong sum": (
        gzip.compress(GOOD.encode())[:-8] + b"\0" * 8,
        "not a gzip file: CRC check failed",
    ),
    "bytes after gzip": (gzip.compress(GOOD.encode()) + b"rest", "not a gzip file"),
    "no gzip": (b"hello", "not well-formed XML"),
    "record cut short": (GOOD[:-200].encode(), "not well-formed XML: "),
    "end tag missing": (
        GOOD.removesuffix("</PubmedArticleSet>").encode(),
        "Premature end of data in tag PubmedArticleSet",
    ),
    "unknown entity": (
        article_set(record(1, abstract="&nbsp;x")).encode(),
        "Entity 'nbsp' not defined, line 3",
    ),
    "unknown entity with NLM's DTD": (
        article_set(record(1, abstract="&nbsp;x"), prolog=NLM).encode(),
        "Entity 'nbsp' not defined",
    ),
    "unknown entity outside the text": (
        article_set(record(1, kind="&nbsp;")).encode(),
        "Entity 'nbsp' not defined",
    ),
    "bad UTF-8": (
        article_set(record(1, abstract="a@b")).encode().replace(b"a@b", b"a\xff\xfeb"),
        "Invalid bytes in character encoding",
    ),
    "character that XML forbids": (
        article_set(record(1, abstract="&#1;")).encode(),
        "invalid xmlChar value 1",
    ),
    "NUL": (article_set(record(1, abstract="\0")).encode(), "Char 0x0 out of allowed range"),
    "billion laughs": (bomb(LAUGHS, "&a11;").encode(), "entit"),
    "one large entity many times": (
        bomb(f'<!ENTITY a "{"x" * 50_000}">', "&a;" * 50_000).encode(),
        "entit",
    ),
    "parameter entities": (bomb(PARAMETER_LAUGHS, "x").encode(), "entit"),
    "harmless entity": (bomb('<!ENTITY a "b">', "&a;").encode(), "defines entities of its own"),
    "file as an entity": (
        bomb('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;").encode(),
        "defines entities of its own",
    ),
    "endless prolog": (
        bomb(f"<!-- {'x' * 2_000_000} -->", "x").encode(),
        "no <PubmedArticleSet> in its first",
    ),
    "very long text": (
        article_set(record(1, abstract="x" * 20_000_000)).encode(),
        "Text node too long",
    ),
    "very deep markup": (
        article_set(record(1, abstract="<i>" * 400 + "x" + "</i>" * 400)).encode(),
        "Excessive depth",
    ),
    "other XML": (b"<rss><channel/></rss>", "is other XML: its root is <rss>, expected"),
    "other element": (
        article_set("<foo/>", record(1)).encode(),
        "has <foo> in <PubmedArticleSet>",
    ),
    "other element at the end": (
        article_set(record(1), "<foo/>").encode(),
        "has <foo> in <PubmedArticleSet>",
    ),
    "records inside something else": (
        article_set(f"<wrap>{record(1)}</wrap>").encode(),
        "has <PubmedArticle> in <wrap>",
    ),
    "two documents": ((article_set(record(1)) * 2).encode(), "not well-formed"),
    "empty": (b"", "holds no XML element"),
    "empty gzip": (gzip.compress(b""), "holds no XML element"),
    "deletion of no number": (
        article_set(record(1), deletion("x")).encode(),
        "PMID in DeleteCitation of .*: got 'x'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, message = CASES[name]
    path = tmp_path / "pubmed20n0001.xml.gz"
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(DataError, match=message) as caught:
        list(read_pubmed(path))
    assert time.process_time() - started < 5
    # In kB. An expanded bomb would need gigabytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_controls_are_readable(tmp_path: Path) -> None:
    """The undamaged forms of the cases above."""
    path = tmp_path / "a.xml"
    for content in (
        GOOD,
        article_set(record(1, abstract="&lt;&#160;x"), prolog=NLM),
        bomb("<!ELEMENT x ANY>", "x"),
        bomb(f"<!-- {'x' * 500_000} -->", "x"),
        article_set(record(1, abstract="<i>" * 100 + "x" + "</i>" * 100), deletion(2)),
    ):
        path.write_text(content, encoding="utf-8")
        assert list(read_pubmed(path))


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        list(read_pubmed(tmp_path))
