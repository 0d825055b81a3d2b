import gzip
import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.pubmed import Deletion, Record, read_pubmed
from mediswift_cs.corpora.sample import BASELINE, UPDATE

from .conftest import article_set, deletion, record


def read_one(path: Path) -> Any:
    (item,) = read_pubmed(path)
    return item


def test_fields_of_a_record(pubmed_file: Any) -> None:
    abstract = (
        '<AbstractText Label="AIM" NlmCategory="OBJECTIVE">To <i>see</i>\n it.</AbstractText>'
        '<AbstractText Label="UNLABELLED">Plain.</AbstractText>'
        '<AbstractText Label="NOTHING"/>'
        "<AbstractText>Last.</AbstractText>"
        "<CopyrightInformation>Copyright 2020 Someone.</CopyrightInformation>"
    )
    path = pubmed_file(record(7, version=2, title="On H<sub>2</sub>O.", abstract=abstract))
    assert read_one(path) == Record(
        pmid=7,
        version=2,
        title="On H2O.",
        abstract="AIM: To see it.\nPlain.\nLast.",
        languages=("eng",),
        publication_types=("Journal Article",),
        copyright="Copyright 2020 Someone.",
    )


def test_a_document_is_title_then_abstract(pubmed_file: Any) -> None:
    document = read_one(pubmed_file(record(7, version=3))).to_document("a.xml")
    assert (document.id, document.text) == ("pubmed:7", "A title.\nSome text.")
    assert (document.source, document.version, document.licence) == ("a.xml", 3, None)


def test_the_vernacular_title_stands_in_where_there_is_no_english_one(shared_data: Path) -> None:
    path = shared_data / "pubmed_xml" / "pubmed2db" / "tests" / "fixtures" / "pubmed25n0004.xml"
    english, norwegian = read_pubmed(path)
    assert english.title == "Quality: link with effectiveness."
    assert norwegian.title.startswith("The vanishing Aral Sea")
    assert norwegian.languages == ("nor",)


def test_deletions_and_books_are_told_apart(pubmed_file: Any) -> None:
    book = "<PubmedBookArticle><BookDocument><PMID>9</PMID></BookDocument></PubmedBookArticle>"
    items = list(read_pubmed(pubmed_file(record(1), book, deletion(2, 3))))
    assert items[1] == Record(pmid=None, is_book=True)
    assert items[2:] == [Deletion(2, 1), Deletion(3, 1)]


@pytest.mark.parametrize("pmid", ["", "0", "-1", "12a", "\uff11\uff12", "123456789"])
def test_a_record_without_a_number_is_read_as_one_without(pubmed_file: Any, pmid: Any) -> None:
    assert read_one(pubmed_file(record(pmid))).pmid is None


def test_the_largest_number_is_one(pubmed_file: Any) -> None:
    assert read_one(pubmed_file(record(99_999_999))).pmid == 99_999_999


def test_retractions_real(shared_data: Path) -> None:
    folder = shared_data / "pubmed_xml" / "net_synergy"
    items = [item for path in sorted(folder.glob("*.gz")) for item in read_pubmed(path)]
    assert len(items) == 319
    retracted = [item.pmid for item in items if item.is_retracted]
    assert retracted == [31541003]


def test_a_retraction_named_only_in_the_corrections(pubmed_file: Any) -> None:
    note = '<CommentsCorrectionsList><CommentsCorrections RefType="{}"/></CommentsCorrectionsList>'
    plain = record(1)
    for kind, expected in (("RetractionIn", True), ("ErratumIn", False), ("RetractionOf", False)):
        text = plain.replace("</Article>", "</Article>" + note.format(kind))
        assert read_one(pubmed_file(text)).is_retracted is expected


def test_deletions_real(shared_data: Path) -> None:
    folder = shared_data / "pubmed_xml" / "pmparser"
    counts = {}
    for name in ("pubmed20n1016", "pubmed26n1334", "pubmed26n1335"):
        items = list(read_pubmed(folder / f"{name}.xml.gz"))
        num_deleted = sum(isinstance(item, Deletion) for item in items)
        counts[name] = (len(items) - num_deleted, num_deleted)
    assert counts == {
        "pubmed20n1016": (26, 262),
        "pubmed26n1334": (30, 0),
        "pubmed26n1335": (30, 6),
    }


def test_known_awkward_records(shared_data: Path) -> None:
    folder = shared_data / "pubmed_xml" / "pmparser"
    paths = sorted(folder.glob("*.xml.gz"))
    records = {r.pmid: r for path in paths for r in read_pubmed(path) if isinstance(r, Record)}
    assert records[30688251].abstract == ""
    assert records[41605226].title
    assert list(read_pubmed(folder / "pubmed20n0000.xml")) == []
    empty = list(read_pubmed(folder / "pubmed_no_rows.xml"))
    assert [(r.pmid, r.title, r.abstract) for r in empty] == [(1, "", ""), (2, "", "")]


def extracted_by_elementtree(path: Path, limit: Any) -> Any:
    """Title and abstract by another parser, with none of this package's code but clean_line."""
    mml = "{http://www.w3.org/1998/Math/MathML}math"
    with gzip.open(path) as file:
        found = 0
        for _, element in ElementTree.iterparse(file):
            if element.tag != "PubmedArticle":
                continue
            article = element.find("MedlineCitation/Article")
            sections = article.findall("Abstract/AbstractText")
            title = article.find("ArticleTitle")
            has_math = any(part.find(f".//{mml}") is not None for part in [title, *sections])
            texts = [clean_line("".join(section.itertext())) for section in sections]
            yield (
                int(element.findtext("MedlineCitation/PMID")),
                None if has_math else clean_line("".join(title.itertext())),
                None if has_math else [text for text in texts if text],
            )
            element.clear()
            found += 1
            if found == limit:
                return


def test_real_records_have_the_text_that_elementtree_finds(sample_files: Any) -> None:
    limit = 6000
    records = (r for r in read_pubmed(sample_files[UPDATE]) if isinstance(r, Record))
    num_compared = num_with_label = num_bracketed = 0
    expected = extracted_by_elementtree(sample_files[UPDATE], limit)
    for ours, (pmid, title, sections) in zip(
        itertools.islice(records, limit), expected, strict=True
    ):
        assert ours.pmid == pmid
        if title is None:
            continue
        lines = ours.abstract.split("\n") if ours.abstract else []
        assert len(lines) == len(sections)
        for line, section in zip(lines, sections, strict=True):
            assert line.endswith(section)
            num_with_label += line != section
        if title.strip("[].") not in ("", "Not Available"):
            # Translated titles are in brackets there.
            is_bracketed = title[0] == "[" and title.rstrip(".")[-1] == "]"
            bare = title.replace("[", "").replace("]", "")
            assert ours.title == title or (is_bracketed and ours.title == bare)
            num_bracketed += is_bracketed
        num_compared += 1
    assert num_compared > 5900
    # Control: the comparison is not between empty texts, and labels do make a difference.
    assert num_with_label > 1000
    assert num_bracketed > 10


@pytest.mark.parametrize(
    ("name", "num_records", "num_abstracts", "num_deletions"),
    [(BASELINE, 30_000, 14_832, 0), (UPDATE, 20_788, 18_445, 20)],
)
def test_whole_real_files(
    sample_files: Any, name: str, num_records: Any, num_abstracts: Any, num_deletions: Any
) -> None:
    records = abstracts = deletions = 0
    for item in read_pubmed(sample_files[name]):
        if isinstance(item, Deletion):
            deletions += 1
        else:
            records += 1
            abstracts += bool(item.abstract)
    assert (records, abstracts, deletions) == (num_records, num_abstracts, num_deletions)


def test_bytes_read_add_up_to_the_file(
    sample_files: Any, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared_data / "pubmed_xml" / "pmparser" / "pubmed26n1334.xml.gz"
    read: list[int] = []
    monkeypatch.setattr("mediswift_cs.corpora.xml_stream.advance_bytes", read.append)
    assert sum(1 for _ in read_pubmed(path)) == 30
    assert sum(read) == path.stat().st_size


def test_plain_and_gzip_are_told_by_content(tmp_path: Path) -> None:
    content = article_set(record(1)).encode()
    for name, data in (("a.xml.gz", content), ("b.xml", gzip.compress(content))):
        (tmp_path / name).write_bytes(data)
        assert read_one(tmp_path / name).pmid == 1


def test_a_version_that_is_no_version_does_not_overflow(pubmed_file: Any) -> None:
    versions = {"2": 2, "99999999999": 1, "9" * 5000: 1, "x": 1, "-1": 1}
    path = pubmed_file(*(record(1, version=version) for version in versions))
    assert [each.version for each in read_pubmed(path)] == list(versions.values())
