import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mediswift_cs.corpora.build_documents import write_documents

from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.corpora.sample import UPDATE
from mediswift_cs.corpora.selection import OUTCOMES, Selection
from mediswift_cs.errors import ConfigError, DataError

from .conftest import deletion, record

BOOK = "<PubmedBookArticle><BookDocument/></PubmedBookArticle>"


def build(inputs: Path, output: Path, **options: Any) -> Any:
    manifest, is_new = write_documents(inputs, output, **options)
    assert is_new
    counts = manifest["counts"]
    assert counts["records_read"] == sum(counts[outcome] for outcome in OUTCOMES)
    documents = list(read_documents(output))
    assert len(documents) == counts["kept"]
    return manifest, documents


def nonzero(manifest: Any) -> Any:
    return {k: v for k, v in manifest["counts"].items() if v and k != "records_read"}


@pytest.fixture
def mixed(pubmed_file: Any) -> Any:
    """Two files with every reason in them."""
    first = pubmed_file(
        record(1),
        record(2, abstract=""),
        record(3, language="ger"),
        record(4, kind="Retracted Publication"),
        record(5),
        record(6, title="Old."),
        record(7, version=2, title="New."),
        record(9, title="", abstract=""),
        record("x"),
        BOOK,
        name="pubmed20n0001.xml",
    )
    second = pubmed_file(
        record(6, title="Revised."),
        record(7, version=1, title="Late."),
        record(10, title="Retracted later."),
        record(10, title="Retracted later.", kind="Retracted Publication"),
        deletion(5, 3, 1234),
        name="pubmed20n0002.xml",
    )
    return [second, first]


def test_every_record_has_one_outcome(mixed: Any, tmp_path: Path) -> None:
    manifest, documents = build(mixed, tmp_path / "docs.jsonl.zst")
    assert nonzero(manifest) == {
        "kept": 3,
        "no_pmid": 1,
        "book": 1,
        "superseded": 3,  # the old 6, the late 7, the 10 before its retraction
        "deleted": 1,
        "retracted": 2,
        "not_english": 1,
        "no_abstract": 2,
    }
    assert manifest["counts"]["records_read"] == 14
    assert manifest["deletions"] == {"listed": 3, "found": 2}
    assert [(d.id, d.text.split("\n")[0]) for d in documents] == [
        ("pubmed:1", "A title."),
        ("pubmed:7", "New."),
        ("pubmed:6", "Revised."),
    ]


def test_what_is_left_out_can_be_kept(mixed: Any, tmp_path: Path) -> None:
    selection = Selection(title_only=True, other_languages=True, retracted=True)
    manifest, documents = build(mixed, tmp_path / "docs.jsonl.zst", selection=selection)
    assert nonzero(manifest) == {
        "kept": 6,
        "no_pmid": 1,
        "book": 1,
        "superseded": 3,
        "deleted": 2,
        "empty_text": 1,
    }
    assert {d.id.removeprefix("pubmed:") for d in documents} == {"1", "2", "4", "6", "7", "10"}


@pytest.mark.parametrize("option", ["title_only", "other_languages", "retracted"])
def test_each_option_changes_its_own_reason_only(mixed: Any, tmp_path: Path, option: Any) -> None:
    default, _ = build(mixed, tmp_path / "a.jsonl.zst")
    changed, _ = build(mixed, tmp_path / "b.jsonl.zst", selection=Selection(**{option: True}))
    reason = {
        "title_only": "no_abstract",
        "other_languages": "not_english",
        "retracted": "retracted",
    }[option]
    differing = {k for k in OUTCOMES if default["counts"][k] != changed["counts"][k]}
    assert reason in differing
    assert differing <= {reason, "kept", "deleted", "empty_text"}


def test_the_limit_counts_records(mixed: Any, tmp_path: Path) -> None:
    manifest, _ = build(mixed, tmp_path / "docs.jsonl.zst", limit=3)
    assert manifest["counts"]["records_read"] == 3
    assert [d.id for d in read_documents(tmp_path / "docs.jsonl.zst")] == ["pubmed:1"]


def test_same_input_same_bytes(mixed: Any, tmp_path: Path) -> None:
    build(mixed, tmp_path / "a.jsonl.zst")
    build(mixed[::-1], tmp_path / "b.jsonl.zst")
    build(mixed, tmp_path / "c.jsonl.zst", selection=Selection(retracted=True))
    a, b, c = ((tmp_path / f"{name}.jsonl.zst").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_an_output_of_the_same_inputs_is_left_alone(mixed: Any, tmp_path: Path) -> None:
    output = tmp_path / "docs.jsonl.zst"
    first, _ = build(mixed, output)
    written = output.stat().st_mtime_ns
    again, is_new = write_documents(mixed, output)
    assert (again, is_new) == (first, False)
    assert output.stat().st_mtime_ns == written


def test_an_output_of_other_inputs_is_refused(mixed: Any, tmp_path: Path, pubmed_file: Any) -> None:
    output = tmp_path / "docs.jsonl.zst"
    build(mixed, output)
    with pytest.raises(DataError, match="made with other options"):
        write_documents(mixed, output, limit=2)
    with pytest.raises(DataError, match="made with other sources"):
        write_documents(mixed[:1], output)
    pubmed_file(record(1), record(2), name="pubmed20n0002.xml")
    with pytest.raises(DataError, match=r"made with other sources: .*--overwrite"):
        write_documents(mixed, output)
    build(mixed, output, overwrite=True)
    output.write_bytes(output.read_bytes() + b"x")
    with pytest.raises(DataError, match="made with other size"):
        write_documents(mixed, output)
    (tmp_path / "docs.manifest.json").unlink()
    with pytest.raises(DataError, match=r"exists without docs\.manifest\.json"):
        write_documents(mixed, output)


def test_the_manifest_names_the_sources(mixed: Any, tmp_path: Path) -> None:
    manifest, _ = build(mixed, tmp_path / "docs.jsonl.zst")
    assert [source["path"] for source in manifest["sources"]] == [
        "pubmed20n0001.xml",
        "pubmed20n0002.xml",
    ]
    text = (tmp_path / "docs.manifest.json").read_text()
    assert json.loads(text) == manifest
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no usable document in 0 records of 1 files"),
        ([record(1, abstract="")], "no usable document in 1 records of 1 files: no_abstract 1"),
        ([record(1), deletion(1)], "no usable document in 1 records of 1 files: deleted 1"),
    ],
)
def test_nothing_usable_is_an_error_and_leaves_nothing(
    pubmed_file: Any, tmp_path: Path, records: Any, message: str
) -> None:
    path = pubmed_file(*records)
    with pytest.raises(DataError, match=message):
        write_documents([path], tmp_path / "docs.jsonl.zst")
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_file_leaves_nothing_half_written(mixed: Any, tmp_path: Path) -> None:
    bad = tmp_path / "pubmed20n0003.xml"
    bad.write_text("<PubmedArticleSet>" + record(11))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"pubmed20n0003\.xml is not well-formed"):
        write_documents([*mixed, bad], tmp_path / "docs.jsonl.zst")
    assert sorted(tmp_path.iterdir()) == before


def test_options_out_of_range(mixed: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.jsonl\.zst"):
        write_documents(mixed, tmp_path / "docs.json")
    with pytest.raises(ConfigError, match="limit must be at least 1 record, got 0"):
        write_documents(mixed, tmp_path / "docs.jsonl.zst", limit=0)


def test_real_versions_and_deletions(shared_data: Path, tmp_path: Path) -> None:
    """Two hand-made files: version 2 replaces version 1, and a deletion."""
    folder = shared_data / "pubmed_xml" / "pubmed2db" / "tests" / "fixtures"
    manifest, documents = build([folder], tmp_path / "docs.jsonl.zst")
    assert manifest["counts"]["superseded"] == 1
    assert manifest["counts"]["deleted"] == 1
    xml = "".join(path.read_text() for path in folder.glob("*.xml"))
    assert manifest["counts"]["records_read"] == xml.count("<PubmedArticle>") == 6
    assert len({d.id for d in documents}) == len(documents)


def test_a_real_file_adds_up(sample_files: Any, tmp_path: Path) -> None:
    manifest, documents = build([sample_files[UPDATE]], tmp_path / "docs.jsonl.zst", limit=6_000)
    assert manifest["counts"]["records_read"] == 6_000
    assert {"no_abstract", "not_english"} <= nonzero(manifest).keys()
    assert len({d.id for d in documents}) == len(documents)
    assert all("\n" in d.text for d in documents)


# VmHWM: ru_maxrss would include what the process that started this one had used.
MEASURE = """
import sys
from collections import Counter
from pathlib import Path
from mediswift_cs.corpora.build_documents import write_documents
write_documents([Path(sys.argv[1])], Path(sys.argv[2]), limit=int(sys.argv[3]))
(line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(int(line.split()[1]) / 1024)
"""


def test_memory_does_not_grow_with_the_input(sample_files: Any, tmp_path: Path) -> None:
    peak = {}
    for limit in (2_000, 12_000):
        done = subprocess.run(
            [
                *(sys.executable, "-c", MEASURE, sample_files[UPDATE]),
                *(tmp_path / f"{limit}.jsonl.zst", str(limit)),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        peak[limit] = float(done.stdout)
    # MB. Six times the records, whose XML alone is more than 100 MB longer.
    assert peak[12_000] < peak[2_000] + 40
    assert peak[12_000] < 400


def test_notices_and_retracted_articles_by_name(pubmed_file: Any, tmp_path: Path) -> None:
    kinds = {
        "Retraction of Publication": "retraction_notice",
        "Retraction Notice": "retraction_notice",
        "Published Erratum": "erratum",
        "Expression of Concern": "expression_of_concern",
        "Retracted Publication": "retracted",
        "Journal Article": "kept",
    }
    path = pubmed_file(*(record(n, kind=kind) for n, kind in enumerate(kinds, 1)))
    counts, _ = build([path], tmp_path / "a.jsonl.zst")
    assert nonzero(counts) == Counter(kinds.values())
    counts, _ = build([path], tmp_path / "b.jsonl.zst", selection=Selection(notices=True))
    assert nonzero(counts) == {"kept": 5, "retracted": 1}


def test_a_name_that_is_no_utf8_is_recorded_with_a_mark(pubmed_file: Any, tmp_path: Path) -> None:
    path = pubmed_file(record(1), name="bad\udcff.xml")
    output = tmp_path / "docs.jsonl.zst"
    manifest, (document,) = build([path], output)
    assert manifest["sources"][0]["path"] == document.source == "bad?.xml"
    assert write_documents([path], output) == (manifest, False)
