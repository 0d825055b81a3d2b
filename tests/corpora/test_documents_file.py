import json
import random
from pathlib import Path
from typing import Any

import pytest
import zstandard

from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.documents_file import (
    DocumentsWriter,
    document_line,
    manifest_path,
    read_documents,
    read_documents_manifest,
    read_lines,
)
from mediswift_cs.errors import DataError

DOCUMENTS = [
    Document(
        id=f"pubmed:{n}",
        text=f"Title {n}.\n\u00df\u2013\u03b1 line two " + "x" * n,
        source="a.xml",
        licence="Copyright" if n % 2 else None,
        language=("eng",),
        publication_types=("Review",),
    )
    for n in range(2000)
]


@pytest.fixture
def path(tmp_path: Path) -> Any:
    path = tmp_path / "docs.jsonl.zst"
    with DocumentsWriter(path) as writer:
        for document in DOCUMENTS:
            writer.write(document)
    assert writer.num_documents == len(DOCUMENTS)
    return path


def test_documents_come_back(path: Path) -> None:
    assert list(read_documents(path)) == DOCUMENTS


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".jsonl"])
def test_what_was_read_adds_up_to_the_file(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several reads, also when compressed.
    lines = [random.Random(n).randbytes(300).hex().encode() + b"\n" for n in range(2000)]
    text = b"".join(lines)
    path = tmp_path / f"own{suffix}"
    path.write_bytes(zstandard.compress(text) if suffix == ".jsonl.zst" else text)
    parts: list[float] = []
    monkeypatch.setattr("mediswift_cs.corpora.documents_file.advance", parts.append)
    assert list(read_lines(path)) == lines
    assert len(parts) > 3
    assert sum(parts) == pytest.approx(1.0)


def test_the_same_documents_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl.zst"
    with DocumentsWriter(other) as writer:
        for line in read_lines(path):
            writer.write_line(line)
    assert other.read_bytes() == path.read_bytes()


def test_datasets_reads_the_file(path: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="comparing with datasets needs it")
    read = datasets.load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert read["text"] == [document.text for document in DOCUMENTS]
    assert read["id"][-1] == "pubmed:1999"


def test_datasets_reads_a_file_whose_first_licence_comes_late(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="comparing with datasets needs it")
    """It takes the types from the first 10 MB, in which null would have no type."""
    path, other = tmp_path / "late.jsonl.zst", tmp_path / "with_null.jsonl"
    documents = [Document(id=f"pubmed:{n}", text="x" * 1000, source="a.xml") for n in range(12000)]
    documents.append(Document(id="pubmed:12000", text="y", source="a.xml", licence="mine"))
    with DocumentsWriter(path) as writer:
        for document in documents:
            writer.write(document)

    def load(file: Any) -> Any:
        return datasets.load_dataset(
            "json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
        )

    assert load(path)["licence"][-2:] == ["", "mine"]
    assert list(read_documents(path)) == documents
    other.write_bytes(b"".join(read_lines(path)).replace(b'"licence":""', b'"licence":null'))
    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        load(other)
    assert list(read_documents(other)) == documents


def test_plain_lines_and_several_frames_are_read(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "docs.jsonl"
    plain.write_bytes(b"".join(read_lines(path)))
    assert list(read_documents(plain)) == DOCUMENTS
    plain.write_bytes(plain.read_bytes()[:-1])
    assert list(read_documents(plain)) == DOCUMENTS
    twice = tmp_path / "twice.jsonl.zst"
    twice.write_bytes(path.read_bytes() * 2)
    assert list(read_documents(twice)) == DOCUMENTS * 2


@pytest.mark.parametrize("keep", [0.999, 0.5])
def test_a_cut_file_is_refused(path: Path, keep: Any) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError, match="is cut short: its zstd stream has no end"):
        list(read_documents(path))


def test_a_damaged_file_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = b"\0" * 50
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        list(read_documents(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl is not JSON, line 2, column 2: Exp"),
        ("[" * 100_000, "is not JSON, line 2: it is nested too deeply"),
        ("[1]", "line 2 of .* is no JSON object"),
        ('{"text": "a"}', "line 2 of .* has no string 'id'"),
        ('{"id": "a", "text": null}', "has no string 'text': .*--dataset"),
    ],
)
def test_other_lines_are_refused(tmp_path: Path, line: Any, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        list(read_documents(path))


def test_unknown_fields_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "b", "extra": 1}\n')
    assert list(read_documents(path)) == [Document(id="a", text="b", source="a.jsonl")]


def test_the_manifest_beside_it(path: Path) -> None:
    beside = manifest_path(path)
    assert beside.name == "docs.manifest.json"
    assert read_documents_manifest(path) is None
    beside.write_text(json.dumps({"counts": {"kept": 3}}))
    assert read_documents_manifest(path) == {"counts": {"kept": 3}}
    beside.write_text("{}")
    with pytest.raises(DataError, match="no manifest of `mediswift documents`"):
        read_documents_manifest(path)


def test_a_name_that_is_no_utf8_is_written_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(document_line(Document(id="a", text="b", source="bad\udcff.xml.gz")))
    assert [document.source for document in read_documents(path)] == ["bad?.xml.gz"]
