"""When one file of documents is written, left as it is, or refused."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare import documents
from mediswift_cs.prepare.pipeline import NoDocumentError
from mediswift_cs.storage.lock import only_process

from ..processes import kill_anywhere
from .conftest import (
    BENCHMARK_PMID,
    article,
    build,
    deletion,
    outcomes,
    prose,
    record,
    write_pubmed,
)


def test_same_input_same_bytes(mixed: list[Path], tmp_path: Path) -> None:
    build(mixed, tmp_path / "a.jsonl.zst")
    build(mixed[::-1], tmp_path / "b.jsonl.zst")
    build(mixed, tmp_path / "c.jsonl.zst", pubmed={"corrections": "keep_all"})
    a, b, c = ((tmp_path / f"{name}.jsonl.zst").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_an_output_of_the_same_inputs_is_left_alone(mixed: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "docs.jsonl.zst"
    first, _ = build(mixed, output)
    written = output.stat().st_mtime_ns
    assert write_pubmed(mixed, output) == (first, False)
    assert output.stat().st_mtime_ns == written


def test_an_output_of_other_inputs_is_refused(
    mixed: list[Path], tmp_path: Path, pubmed_file: Callable[..., Path]
) -> None:
    output = tmp_path / "docs.jsonl.zst"
    build(mixed, output)
    (tmp_path / "bench.txt").write_text(prose(900))
    for other in (
        {"pubmed": {"limit": 2}},
        {"guard": {"texts": [tmp_path / "bench.txt"]}},
        {"clean": {"boilerplate": False}},
    ):
        with pytest.raises(DataError, match="made with other options"):
            write_pubmed(mixed, output, **other)
    with pytest.raises(DataError, match="made with other sources"):
        write_pubmed(mixed[:1], output)
    pubmed_file(record(1), record(2), name="pubmed20n0002.xml")
    with pytest.raises(DataError, match=r"made with other sources: .*--overwrite"):
        write_pubmed(mixed, output)
    build(mixed, output, overwrite=True)
    output.write_bytes(output.read_bytes() + b"x")
    with pytest.raises(DataError, match="made with other size"):
        write_pubmed(mixed, output)
    (tmp_path / "docs.manifest.json").unlink()
    with pytest.raises(DataError, match=r"exists without docs\.manifest\.json"):
        write_pubmed(mixed, output)


def test_the_manifest_names_the_sources(mixed: list[Path], tmp_path: Path) -> None:
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
        ([], "no usable document: $"),
        ([record(1, abstract="")], "no usable document: no_abstract 1 "),
        ([record(1), deletion(1)], "no usable document: deleted 1"),
        ([record(BENCHMARK_PMID)], "no usable document: benchmark_pmid 1"),
    ],
)
def test_nothing_usable_is_an_error_and_the_manifest_says_why(
    pubmed_file: Callable[..., Path], tmp_path: Path, records: Any, message: str
) -> None:
    path, output = pubmed_file(*records), tmp_path / "docs.jsonl.zst"
    with pytest.raises(NoDocumentError, match=message):
        write_pubmed([path], output)
    manifest = tmp_path / "docs.manifest.json"
    assert set(tmp_path.iterdir()) == {path, manifest}
    assert json.loads(manifest.read_text())["counts"]["kept"] == 0
    # It stands in nobody's way.
    pubmed_file(record(1))
    first, _ = build([path], output)
    # A file that is there is not lost, nor what is said of it.
    pubmed_file(*records)
    with pytest.raises(NoDocumentError):
        write_pubmed([path], output, overwrite=True)
    assert json.loads(manifest.read_text()) == first
    assert [d.id for d in read_documents(output)] == ["pubmed:1"]


def test_a_damaged_file_is_quarantined_and_the_rest_goes_on(
    mixed: list[Path], tmp_path: Path
) -> None:
    good, _ = build(mixed, tmp_path / "good.jsonl.zst")
    bad = tmp_path / "pubmed20n0003.xml"
    bad.write_text("<PubmedArticleSet>" + record(11))
    output = tmp_path / "docs.jsonl.zst"
    manifest, _ = build([*mixed, bad], output)
    (quarantined,) = manifest["quarantined"]
    assert quarantined["file"] == bad.name
    assert "pubmed20n0003.xml is not well-formed" in quarantined["reason"]
    assert outcomes(manifest) == outcomes(good)
    # That is remembered, and another .md5 makes it another input.
    assert write_pubmed([*mixed, bad], output) == (manifest, False)
    bad.with_name(f"{bad.name}.md5").write_text("0" * 32)
    with pytest.raises(DataError, match="made with other sources"):
        write_pubmed([*mixed, bad], output)


def test_options_out_of_range(mixed: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.jsonl\.zst"):
        write_pubmed(mixed, tmp_path / "docs.json")


def test_a_folder_in_the_place_of_the_work_is_left_alone(mixed: list[Path], tmp_path: Path) -> None:
    mine = tmp_path / ".docs.jsonl.zst.work" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(DataError, match="is no folder of this command"):
        write_pubmed(mixed, tmp_path / "docs.jsonl.zst")
    assert mine.read_text() == "mine"


def test_killed_before_its_first_file_it_can_be_started_again(
    mixed: list[Path], tmp_path: Path
) -> None:
    (tmp_path / ".docs.jsonl.zst.work" / "work").mkdir(parents=True)
    write_pubmed(mixed, tmp_path / "docs.jsonl.zst")
    assert {path.name for path in tmp_path.iterdir()} >= {"docs.jsonl.zst", "docs.manifest.json"}
    assert not (tmp_path / ".docs.jsonl.zst.work").exists()


@pytest.mark.parametrize("seed", range(2))
def test_killed_anywhere_and_started_again(inputs: Path, tmp_path: Path, seed: int) -> None:
    expected, output = tmp_path / "expected.jsonl.zst", tmp_path / "docs.jsonl.zst"
    arguments = ["documents", inputs / "pubmed", "--pmc", inputs / "pmc", "--output"]
    command = [sys.executable, "-m", "mediswift_cs.cli", *map(str, arguments)]
    subprocess.run([*command, expected], check=True, capture_output=True)
    kill_anywhere([*command, output], tmp_path, seed, most_files=12, kill=os.kill)
    subprocess.run([*command, output], check=True, capture_output=True)
    assert output.read_bytes() == expected.read_bytes()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f"{stem}.{end}" for stem in ("docs", "expected") for end in ("jsonl.zst", "manifest.json")
    }


def test_a_name_that_is_no_utf8_is_recorded_with_a_mark(
    pubmed_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = pubmed_file(record(1), name="bad\udcff.xml")
    worse = tmp_path / "worse\udcff.xml"
    worse.write_text("<PubmedArticleSet>")
    output = tmp_path / "docs.jsonl.zst"
    manifest, (document,) = build([path, worse], output)
    assert manifest["sources"][0]["path"] == document.source == "bad?.xml"
    assert manifest["quarantined"][0]["file"] == "worse?.xml"
    assert write_pubmed([path, worse], output) == (manifest, False)


def test_an_archive_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "articles.tar"
    with tarfile.open(path, "w") as archive:
        for number in (1, 2):
            content = article(number, number).encode()
            member = tarfile.TarInfo(f"{number}.nxml")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo("../outside.nxml"))
    for limit, num_read, num_quarantined in ((1, 1, 0), (2, 2, 0), (3, 2, 1)):
        inputs = {"inputs": [path], "limit": limit}
        manifest, _ = build([], tmp_path / f"{limit}.jsonl.zst", pmc=inputs)
        assert manifest["counts"]["records_read"] == num_read
        assert len(manifest["quarantined"]) == num_quarantined


def test_one_process_at_a_time(mixed: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "docs.jsonl.zst"
    with (
        only_process(tmp_path / ".docs.jsonl.zst.lock", "", is_kept=False),
        pytest.raises(DataError, match=r"docs\.jsonl\.zst is being made"),
    ):
        write_pubmed(mixed, output)
    build(mixed, output)


def test_what_another_process_has_made_since_is_kept(
    mixed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "docs.jsonl.zst"

    def make(path: Path) -> None:
        monkeypatch.undo()
        build(mixed, path, pubmed={"limit": 3})

    monkeypatch.setattr(documents, "check_writable", make)
    with pytest.raises(DataError, match="made with other options"):
        write_pubmed(mixed, output)
    assert [d.id for d in read_documents(output)] == ["pubmed:1"]


def test_what_is_wrong_is_said_before_the_work(mixed: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "docs.jsonl.zst"
    output.mkdir()
    there = set(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"cannot write .*: Is a directory"):
        write_pubmed(mixed, output, overwrite=True)
    (tmp_path / "docs.jsonl.zst").rmdir()
    with pytest.raises(DataError, match=r"cannot read .*nosuch: No such file"):
        write_pubmed(mixed, output, guard={"pmid_files": [tmp_path / "nosuch"]})
    assert set(tmp_path.iterdir()) == there - {output}


def test_the_first_file_of_a_reason_is_named(
    pubmed_file: Callable[..., Path], tmp_path: Path
) -> None:
    names = ("pubmed20n0001.xml", "pubmed20n0002.xml")
    paths = [
        pubmed_file(record(n), record(n + 2, abstract=""), name=name)
        for n, name in enumerate(names, 1)
    ]
    manifest, _ = build(paths, tmp_path / "docs.jsonl.zst")
    assert manifest["first_files"] == {"no_abstract": names[0]}


def test_a_deletion_is_no_record_of_the_limit(
    pubmed_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = pubmed_file(deletion(7, 8, 9), record(1), record(2), record(3))
    _, kept = build([path], tmp_path / "docs.jsonl.zst", pubmed={"limit": 2})
    assert [d.id for d in kept] == ["pubmed:1", "pubmed:2"]


def test_a_data_set_with_another_md5_is_not_read(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="it reads texts of one's own")
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"text": prose(1)}) + "\n")
    (tmp_path / "own.jsonl.md5").write_text("0" * 32)
    with pytest.raises(NoDocumentError, match=r"quarantined own\.jsonl: md5 of own\.jsonl is"):
        write_pubmed([], tmp_path / "docs.jsonl.zst", dataset={"name": str(path)})
