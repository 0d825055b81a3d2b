import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from mediswift_cs.corpora.data_set import DataSet
from mediswift_cs.errors import DataError

ROWS = [{"key": f"k{n}", "abstract": f"Cells, mice and \u03b2-blockers {n}."} for n in range(50)]


def data_set(path: Path | str, **options: Any) -> DataSet:
    return DataSet(name=str(path), **options)


def read(path: Path | str, **options: Any) -> Any:
    return list(data_set(path, **options).read())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_MODULES_CACHE", tmp_path / "modules")


def write(path: Path) -> Any:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.ZstdCompressor().compress(lines))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines))
    else:
        path.write_bytes(lines)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.json", "a.parquet"])
def test_local_files(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    found = data_set(path, text_column="abstract", id_column="key")
    expected = [(row["key"], row["abstract"], name, None) for row in ROWS]
    # It can be read again.
    for _ in range(2):
        assert [(d.id, d.text, d.source, d.pmid) for d in found.read()] == expected
    assert found.find_files() == ([path], [])
    assert str(tmp_path) not in json.dumps(found.options())


@pytest.mark.parametrize("name", ["own[1].jsonl", "own*.jsonl", "own?.jsonl"])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    for each in (name, "own1.jsonl", "own2.jsonl"):
        (tmp_path / each).write_text(json.dumps({"text": each}) + "\n")
    assert [d.text for d in read(tmp_path / name)] == [name]


def test_a_folder_whose_name_is_a_pattern_is_refused(tmp_path: Path) -> None:
    for name in ("corpus[1]", "corpus1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(json.dumps({"text": name}) + "\n")
    assert [d.text for d in read(tmp_path / "corpus1")] == ["corpus1"]
    with pytest.raises(DataError, match=r"corpus\[1\]: got a folder with \[, \* or \?"):
        read(tmp_path / "corpus[1]")


def test_the_first_rows_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    assert len(read(path, text_column="abstract", limit=3)) == 3
    assert len(read(path, text_column="abstract", limit=99)) == 50


def test_an_id_may_name_an_article(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    ids = ["pubmed:12", "pmc:PMC12", "12", "pubmed:x", "patient:12"]
    path.write_text("".join(json.dumps({"id": each, "text": "x"}) + "\n" for each in ids))
    assert [d.pmid for d in read(path, id_column="id")] == [12, None, None, None, None]


def test_a_folder_with_splits(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder / "train-0.parquet")
    write(folder / "train-1.parquet")
    write(folder / "test.parquet")
    found = data_set(folder, text_column="abstract")
    assert [path.name for path in found.find_files()[0]] == ["train-0.parquet", "train-1.parquet"]
    assert len(list(found.read())) == 100
    assert len(read(folder, text_column="abstract", split="test")) == 50
    with pytest.raises(DataError, match="has no split 'dev', it has: train, test"):
        data_set(folder, split="dev").find_files()


def test_without_ids_equal_texts_are_on_one_side(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes() * 2)
    ids = [document.id for document in read(path, text_column="abstract")]
    assert len(ids) == 100
    assert ids[:50] == ids[50:]
    assert len(set(ids)) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no column 'text', it has: key, abstract"),
        ({"text_column": "abstract", "id_column": "pmid"}, "has no column 'pmid'"),
    ],
)
def test_missing_columns(tmp_path: Path, options: Any, message: str) -> None:
    path = write(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=message):
        read(path, **options)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": "a", "abstract": 5}, "column 'abstract' of row 1 .*: got int, allowed: a string"),
        ({"key": "", "abstract": "x"}, "column 'key' of row 1 of .*: got '', allowed: an id"),
        ({"key": None, "abstract": "x"}, "column 'key' of row 1 of .*: got None, allowed: an id"),
    ],
)
def test_values_of_another_type(tmp_path: Path, row: Any, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message):
        read(path, text_column="abstract", id_column="key")


def test_a_null_text_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": null}\n{"text": "x"}\n')
    assert [document.text for document in read(path)] == ["", "x"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 no parquet"),
        ("a.jsonl", b'{"text": "a"'),
        ("a.jsonl.gz", b"no gzip"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n', mtime=0)[:10] + b"\xff" * 30),
        ("a.jsonl.zst", zstandard.compress(b'{"text": "a"}\n')[:6] + b"\xff" * 30),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"data set .*{name}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_format_that_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.touch()
    with pytest.raises(
        DataError, match=r"cannot tell the format of .*a\.xlsx: allowed are \.jsonl"
    ):
        data_set(path).find_files()


def test_code_beside_the_data_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="cannot open data set"):
        read(folder)
    assert not (tmp_path / "ran").exists()


def test_a_name_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot open data set nobody/nothing: "):
        data_set("nobody/nothing").find_files()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "got an empty name"),
        ("nosuch.jsonl", "nosuch.jsonl does not exist: no such file"),
        ("no/such.json", "does not exist"),
        ("nosuch.jsonl.zst", "does not exist"),
        ("nosuch.parquet", "does not exist"),
    ],
)
def test_a_name_that_can_only_be_a_file_is_not_asked_for_elsewhere(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**arguments: Any) -> None:
        raise AssertionError(f"the Hub was asked for {arguments}")

    monkeypatch.setattr("datasets.load_dataset_builder", ask)
    with pytest.raises(DataError, match=message):
        data_set(name).find_files()
