import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tokens.build_shards import SAMPLES_PER_SHARD, build_shards
from mediswift_cs.tokens.hdf5 import read_shard_info
from mediswift_cs.tokens.manifest import read_manifest, shard_paths
from mediswift_cs.tokens.splits import split_of
from mediswift_cs.tokens.texts import documents_source
from mediswift_cs.tokens.tokenizer import EOS, fingerprint, load_tokenizer

from .conftest import texts

LENGTH = 32
DOCUMENTS = [(f"pubmed:{n}", text) for n, text in enumerate(texts(400))]


def build(path: Path, tokenizer_path: Path, output: Path, **options: Any) -> Any:
    options = {
        "max_sequence_length": LENGTH,
        "val_fraction": 0.2,
        "samples_per_shard": SAMPLES_PER_SHARD,
        "overwrite": False,
        **options,
    }
    return build_shards(documents_source([path]), tokenizer_path, output, **options)


def read(output: Path, split: Any) -> Any:
    arrays = []
    for path in shard_paths(output / split):
        with h5py.File(path) as file:
            arrays.append(file["data"][:])
    return np.concatenate(arrays)


@pytest.fixture
def output(documents_file: Any, tokenizer_path: Path, tmp_path: Path) -> Any:
    build(documents_file(DOCUMENTS), tokenizer_path, tmp_path / "out", samples_per_shard=100)
    return tmp_path / "out"


def test_the_shards_hold_every_document_whole_on_its_side(output: Path) -> None:
    tokenizer = load_tokenizer(output)
    eos_id = tokenizer.token_to_id(EOS)
    for split in ("train", "val"):
        samples = read(output, split)
        stream = [samples[0, 0, 0], *samples[:, 2][samples[:, 1] == 1]]
        assert stream[-1] == eos_id
        ends = [i for i, token in enumerate(stream) if token == eos_id]
        starts = [0, *(end + 1 for end in ends[:-1])]
        found = [
            tokenizer.decode(stream[start:end]) for start, end in zip(starts, ends, strict=True)
        ]
        expected = [text for id_, text in DOCUMENTS if split_of(id_, 0.2) == split]
        assert found == expected
        # Control: the other side's documents are other ones.
        assert not set(found) & {text for id_, text in DOCUMENTS if split_of(id_, 0.2) != split}


def test_bits_per_byte_count_the_bytes_of_the_texts(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    documents = [
        (f"pubmed:{n}", f"{text} \u03b2\u2082-\u00e9") for n, text in enumerate(texts(200))
    ]
    build(documents_file(documents), tokenizer_path, tmp_path / "out")
    splits = read_manifest(tmp_path / "out").splits
    for name, split in splits.items():
        mine = [text for id_, text in documents if split_of(id_, 0.2) == name]
        assert split.num_bytes == sum(len(text.encode()) for text in mine)
        # Control: characters are fewer.
        assert split.num_bytes > sum(map(len, mine))
        # A model that gives each byte one bit, whatever its tokens are.
        loss = math.log(2) * split.num_bytes / split.num_tokens
        assert split.bits_per_byte(loss) == pytest.approx(1.0)
        assert replace(split, num_bytes=None).bits_per_byte(loss) is None


def test_the_manifest_adds_up(output: Path, tokenizer_path: Path) -> None:
    manifest = read_manifest(output)
    assert manifest.counts == {"documents_read": 400, "kept": 400, "empty_text": 0}
    assert sum(split.num_documents for split in manifest.splits.values()) == 400
    assert manifest.tokenizer.sha256 == fingerprint(tokenizer_path)
    assert (manifest.tokenizer.vocab_size, manifest.tokenizer.eos_id) == (320, 0)
    for name, split in manifest.splits.items():
        samples = read(output, name)
        assert len(samples) == split.num_samples == sum(s.num_samples for s in split.shards)
        assert samples[:, 1].sum() == split.num_tokens - 1
        assert samples[:, [0, 2]].max() == split.max_token_id
        paths = shard_paths(output / name)
        assert [path.relative_to(output).as_posix() for path in paths] == [
            shard.file for shard in split.shards
        ]
        for path in paths:
            info = read_shard_info(path)
            assert info.tokenizer_sha256 == manifest.tokenizer.sha256
            assert (info.max_sequence_length, info.vocab_size) == (LENGTH, 320)
    assert len(manifest.splits["train"].shards) > 2
    assert {shard.num_samples for shard in manifest.splits["train"].shards[:-1]} == {100}


def test_unigram_loss_by_its_definition(output: Path) -> None:
    manifest = read_manifest(output)
    counts = {}
    for split in ("train", "val"):
        samples = read(output, split)
        labels = samples[:, 2][samples[:, 1] == 1].tolist()
        counts[split] = Counter([int(samples[0, 0, 0]), *labels])
    num_train, num_val = counts["train"].total(), counts["val"].total()
    expected = 0.0
    unsmoothed = 0.0
    for token, number in counts["val"].items():
        expected -= number * math.log((counts["train"][token] + 1) / (num_train + 320)) / num_val
        unsmoothed -= number * math.log(counts["train"][token] / num_train) / num_val
    found = manifest.splits["val"].unigram_loss
    assert found == pytest.approx(expected, rel=1e-12)
    assert found != pytest.approx(unsmoothed, rel=1e-6)
    assert found < math.log(320)
    assert manifest.splits["train"].unigram_loss is None
    assert (
        "unigram_loss" not in json.loads((output / "manifest.json").read_text())["splits"]["train"]
    )


def test_same_input_same_bytes(
    output: Path, documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    build(documents_file(DOCUMENTS), tokenizer_path, again, samples_per_shard=100)
    files = sorted(path.relative_to(output) for path in output.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for file in files:
        assert (output / file).read_bytes() == (again / file).read_bytes()


def test_documents_keep_their_side_when_others_are_added(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    sides = {}
    for name, documents in (("few", DOCUMENTS[:200]), ("many", DOCUMENTS)):
        build(documents_file(documents), tokenizer_path, tmp_path / name)
        tokenizer = load_tokenizer(tmp_path / name)
        samples = read(tmp_path / name, "val")
        stream = tokenizer.decode([samples[0, 0, 0], *samples[:, 2][samples[:, 1] == 1]])
        sides[name] = stream
    val_of_few = [text for id_, text in DOCUMENTS[:200] if split_of(id_, 0.2) == "val"]
    assert all(text in sides["few"] and text in sides["many"] for text in val_of_few)


def test_an_output_of_the_same_recipe_is_left_alone(
    output: Path, documents_file: Any, tokenizer_path: Path
) -> None:
    written = (output / "manifest.json").stat().st_mtime_ns
    path = documents_file(DOCUMENTS)
    manifest, is_new = build(path, tokenizer_path, output, samples_per_shard=100)
    assert not is_new
    assert manifest == read_manifest(output)
    assert (output / "manifest.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_sequence_length": 16}, "made with other max_sequence_length: "),
        ({"val_fraction": 0.3}, "made with other options: "),
        ({"samples_per_shard": 99}, "made with other options: "),
    ],
)
def test_an_output_of_another_recipe_is_refused(
    output: Path, documents_file: Any, tokenizer_path: Path, options: Any, message: str
) -> None:
    path = documents_file(DOCUMENTS)
    options = {"samples_per_shard": 100, **options}
    with pytest.raises(DataError, match=message):
        build(path, tokenizer_path, output, **options)
    manifest, is_new = build(path, tokenizer_path, output, overwrite=True, **options)
    assert is_new
    assert read_manifest(output).to_json() == manifest.to_json()


def test_other_documents_are_another_recipe(
    output: Path, documents_file: Any, tokenizer_path: Path
) -> None:
    path = documents_file(DOCUMENTS[:-1])
    with pytest.raises(DataError, match="made with other sources"):
        build(path, tokenizer_path, output, samples_per_shard=100)


def test_a_missing_shard_is_noticed(
    output: Path, documents_file: Any, tokenizer_path: Path
) -> None:
    (output / "train" / "shard_00001.h5").unlink()
    with pytest.raises(DataError, match=r"shard_00001\.h5 is missing"):
        build(documents_file(DOCUMENTS), tokenizer_path, output, samples_per_shard=100)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_replaced(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path, overwrite: Any
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(DataError, match="is no data folder of `mediswift shards`"):
        build(documents_file(DOCUMENTS), tokenizer_path, tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_empty_texts_are_counted_and_nothing_else_is_left_out(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    documents = [*DOCUMENTS, ("a", ""), ("b", " \n\t")]
    manifest, _ = build(documents_file(documents), tokenizer_path, tmp_path / "out")
    assert manifest.counts == {"documents_read": 402, "kept": 400, "empty_text": 2}


def test_without_validation_split(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    path = documents_file(DOCUMENTS)
    manifest, _ = build(path, tokenizer_path, tmp_path / "out", val_fraction=0)
    assert list(manifest.splits) == ["train"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "tokenizer.json",
        "train",
    ]


def test_a_split_without_documents_is_an_error_that_leaves_nothing(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    path = documents_file(DOCUMENTS[:3])
    with pytest.raises(DataError, match=r"no document fell into split 'val': got 3 .* 0\.001"):
        build(path, tokenizer_path, tmp_path / "out", val_fraction=0.001)
    path = documents_file([("a", " ")])
    with pytest.raises(DataError, match="no usable text: 1 documents read, 1 of them empty"):
        build(path, tokenizer_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_sequence_length": 0}, "max_sequence_length: got 0, allowed: 1 to 1048576"),
        ({"max_sequence_length": 99999999999}, "got 99999999999, allowed: 1 to 1048576"),
        ({"samples_per_shard": -1}, "samples_per_shard: got -1, allowed: 1 or more"),
        ({"val_fraction": 1.0}, "val_fraction: got 1.0, allowed: 0 or more, below 1"),
    ],
)
def test_settings_out_of_range(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path, options: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(documents_file(DOCUMENTS), tokenizer_path, tmp_path / "out", **options)


def test_half_a_surrogate_pair_is_refused_with_its_document(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    path = documents_file([*DOCUMENTS, ("bad", "\ud800 text")])
    with pytest.raises(DataError, match="text of document bad is not valid Unicode"):
        build(path, tokenizer_path, tmp_path / "out")


def test_provenance_of_the_documents_is_kept(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    path = documents_file(DOCUMENTS)
    beside = {"counts": {"kept": 400, "no_abstract": 7}, "sources": [{"path": "a.xml"}]}
    (tmp_path / "docs.manifest.json").write_text(json.dumps(beside))
    build(path, tokenizer_path, tmp_path / "out")
    assert read_manifest(tmp_path / "out").documents == (beside,)
    text = (tmp_path / "out" / "manifest.json").read_text()
    assert str(tmp_path) not in text


def test_a_name_that_is_no_utf8_is_recorded_with_a_mark(
    tmp_path: Path, documents_file: Any, tokenizer_path: Path
) -> None:
    path = documents_file(DOCUMENTS)
    path = path.rename(path.with_name("bad\udcff.jsonl"))
    build(path, tokenizer_path, tmp_path / "out")
    assert read_manifest(tmp_path / "out").sources[0].path == "bad?.jsonl"
    _, is_new = build(path, tokenizer_path, tmp_path / "out")
    assert not is_new
