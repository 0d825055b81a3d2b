import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.errors import DataError
from mediswift_cs.tokens.manifest import (
    Manifest,
    ShardEntry,
    SplitEntry,
    TokenizerEntry,
    find_manifest,
    read_manifest,
    shard_paths,
    shards_fingerprint,
)


@pytest.fixture
def manifest() -> Any:
    shard = ShardEntry(file="train/shard_00000.h5", num_samples=3, md5="0" * 32)
    split = {"num_documents": 2, "num_tokens": 700, "num_samples": 3, "max_token_id": 99}
    return Manifest(
        package_version="0.1.0",
        max_sequence_length=256,
        tokenizer=TokenizerEntry(file="tokenizer.json", sha256="ab" * 32, vocab_size=512, eos_id=0),
        sources=(SourceEntry(path="docs.jsonl.zst", bytes=5, md5="1" * 32), SourceEntry(path="x")),
        counts={"documents_read": 4, "kept": 4},
        splits={
            "train": SplitEntry(**split, shards=(shard,)),
            "val": SplitEntry(**split, shards=(), unigram_loss=5.5),
        },
        options={"val_fraction": 0.05},
        documents=({"counts": {"kept": 4}},),
    )


@pytest.fixture
def folder(tmp_path: Path, manifest: Any) -> Any:
    out = tmp_path / "out"
    for split in ("train", "val"):
        (out / split).mkdir(parents=True)
        (out / split / "shard_00000.h5").touch()
    (out / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return out


def test_the_manifest_is_found_from_the_folder_and_from_its_splits(
    folder: Path, manifest: Any
) -> None:
    for data_dir in (folder, folder / "train", folder / "val"):
        read = read_manifest(data_dir)
        assert read.folder.samefile(folder)
        assert read.to_json() == manifest.to_json()
        assert (read.splits, read.tokenizer) == (manifest.splits, manifest.tokenizer)
        assert read.num_samples == 6


def test_the_manifest_is_found_by_a_relative_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "train")
    assert read_manifest(Path()).max_sequence_length == 256


def test_a_manifest_above_that_does_not_name_the_folder_is_not_its_manifest(folder: Path) -> None:
    (folder / "other").mkdir()
    assert find_manifest(folder / "other") is None
    with pytest.raises(DataError, match=r"no manifest\.json in .*other"):
        read_manifest(folder / "other")


def test_an_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("tokenizer"), "key 'tokenizer' is missing"),
        (lambda c: c["tokenizer"].pop("sha256"), "sha256"),
        (lambda c: c.update(format_version=2), "format_version 2, allowed: 1"),
        (lambda c: c.update(max_sequence_length="long"), "got 'long', allowed: a valid int"),
        (lambda c: c["splits"]["train"].update(color="red"), "color' is unknown"),
        (lambda c: c.update(splits=[]), "not a manifest"),
    ],
)
def test_a_malformed_manifest_is_refused_with_its_path(
    folder: Path, change: Any, message: str
) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "null", '"text"'])
def test_other_json_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_manifest(folder)


def test_shard_paths_are_sorted_over_all_folders(folder: Path) -> None:
    (folder / "train" / "shard_00001.h5").touch()
    found = shard_paths([folder / "val", folder / "train"])
    assert [path.relative_to(folder).as_posix() for path in found] == [
        "train/shard_00000.h5",
        "train/shard_00001.h5",
        "val/shard_00000.h5",
    ]
    assert shard_paths(folder / "val") == [folder / "val" / "shard_00000.h5"]


def test_folders_without_shards_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.h5 file in .*out: give the folder of one split"):
        shard_paths(folder)
    with pytest.raises(DataError, match="does not exist"):
        shard_paths(tmp_path / "nowhere")


def test_reading_a_manifest_loads_nothing_heavy() -> None:
    code = (
        "import sys, mediswift_cs.tokens.manifest;"
        "print([m for m in ('torch', 'h5py', 'numpy', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_fingerprint_of_shards_is_that_of_their_checksums(folder: Path, manifest: Any) -> None:
    path = folder / "train" / "shard_00000.h5"
    found = shards_fingerprint([path])
    path.write_bytes(b"of these the manifest's checksums speak")
    assert shards_fingerprint([path]) == found
    text = manifest.to_json().replace("0" * 32, "2" * 32)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    assert shards_fingerprint([path]) != found


def test_shards_without_a_manifest_are_told_apart_by_their_ends(tmp_path: Path) -> None:
    content = bytes(5_000_000)
    path = tmp_path / "shard.h5"
    found = set()
    for place in (None, 0, len(content) - 1):
        changed = bytearray(content)
        if place is not None:
            changed[place] = 1
        path.write_bytes(bytes(changed))
        found.add(shards_fingerprint([path]))
    path.write_bytes(content + b"\0")
    found.add(shards_fingerprint([path]))
    assert len(found) == 4
