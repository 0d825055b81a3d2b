"""Prepared data sets: what is on disk, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.params.schema import DataLoaderParams
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.manifest import read_manifest

from .questions import example

SETTINGS = PromptSettings(max_sequence_length=64, num_virtual_tokens=3)


def write(output: Path, tokenizer: Path, splits: dict[str, list[Example]], **changes: Any) -> Any:
    arguments = {
        "task": PubMedQA(),
        "counts": {"records_read": 3},
        "sources": (),
        "overwrite": False,
        **changes,
    }
    settings = arguments.pop("settings", SETTINGS)
    return write_prompt_data(splits, tokenizer, output, settings, **arguments)


def test_files_and_manifest(tmp_path: Path, tokenizer: Path) -> None:
    output = tmp_path / "out"
    splits = {
        "train": [example("1"), example("2", "no", 90)],
        "val": [example("3")],
        "test": [example("4", "maybe")],
    }
    manifest, lengths = write(output, tokenizer, splits)
    assert lengths.longest[1] == "2"
    # Which context lost how much stands in the manifest; an example that fits is not in it.
    assert list(manifest.cut_contexts) == ["2"]
    # What is left fills the sequence, but for the room of an answer that is longer than its own.
    left = lengths.longest[0] - manifest.cut_contexts["2"]
    longest_answer = read_prompt_data(output).layout.num_answer_tokens
    assert SETTINGS.max_sequence_length - longest_answer < left <= SETTINGS.max_sequence_length
    share = f"{manifest.cut_contexts['2'] / lengths.tokens:.1%}"
    assert f"1 contexts cut ({share} of all tokens; most of 2, " in lengths.summary()
    assert read_manifest(output / "train") == manifest
    assert {name: split.num_samples for name, split in manifest.splits.items()} == {
        "train": 2,
        "val": 1,
    }
    assert not (output / "test").exists()
    data = read_prompt_data(output)
    assert {name: data.examples(name) for name in splits} == splits
    with h5py.File(output / "train" / "shard_00000.h5") as file:
        rows = file["data"][:]
        assert int(file.attrs["num_virtual_tokens"]) == 3
    assert rows.shape == (2, 3, 64)
    virtual = data.layout.virtual_ids
    assert manifest.splits["train"].max_token_id == virtual[-1]
    assert all(np.isin(virtual, row[0]).all() for row in rows)
    # What counts in the loss decodes to the answer.
    counted = rows[1, 2][rows[1, 1] == 1]
    assert data.tokenizer.decode(counted.tolist()) == splits["train"][1].target


def test_same_examples_give_the_same_bytes(tmp_path: Path, tokenizer: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, tokenizer, {"train": [example("1"), example("2")]})
    for file in ("train/shard_00000.h5", "train.jsonl", "manifest.json", "tokenizer.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_room_for_an_answer_does_not_depend_on_the_answer(
    tmp_path: Path, tokenizer: Path
) -> None:
    """Otherwise the length of what is left of a context would give the answer away."""
    for label in pubmedqa.LABELS:
        write(tmp_path / label, tokenizer, {"train": [example("1", label, 90)]})
    lengths = set()
    for label in pubmedqa.LABELS:
        data = read_prompt_data(tmp_path / label)
        (item,) = data.examples("train")
        lengths.add(len(data.layout.encode_source(data.tokenizer, item).ids))
    assert len(lengths) == 1


def test_the_same_data_is_made_once(tmp_path: Path, tokenizer: Path) -> None:
    output = tmp_path / "out"
    splits = {"train": [example("1"), example("2", "no", 90)], "test": [example("4", "maybe")]}
    first, lengths = write(output, tokenizer, splits)
    assert lengths.summary().endswith("; written")
    made = (output / "manifest.json").stat().st_mtime_ns
    again, same_lengths = write(output, tokenizer, splits)
    assert again == first
    assert (output / "manifest.json").stat().st_mtime_ns == made
    assert same_lengths == replace(lengths, is_new=False)
    assert same_lengths.summary().endswith("; already there")
    _, lengths = write(output, tokenizer, splits, overwrite=True)
    assert lengths.is_new
    (output / "train" / "shard_00000.h5").unlink()
    with pytest.raises(DataError, match=r"shard_00000\.h5 is missing: make it again"):
        write(output, tokenizer, splits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": [example("1", "no")]}}, "made with other examples: give another"),
        ({"splits": {"train": [example("1")], "test": [example("2")]}}, "other examples"),
        ({"settings": replace(SETTINGS, max_sequence_length=65)}, "other max_sequence_length"),
        ({"settings": replace(SETTINGS, position="prefix")}, "other options"),
        ({"task": PubMedQA(mode="reasoning-free")}, "other options: give another output, or"),
        ({"counts": {"records_read": 4}}, "made with other counts"),
        ({"sources": (SourceEntry(path="x", md5="0" * 32),)}, "made with other sources"),
    ],
)
def test_other_data_is_not_replaced(
    tmp_path: Path, tokenizer: Path, changes: dict[str, Any], message: str
) -> None:
    splits = {"train": [example("1")]}
    write(tmp_path / "out", tokenizer, splits)
    with pytest.raises(DataError, match=message):
        write(tmp_path / "out", tokenizer, **{"splits": splits, **changes})


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": [example("1")], "val": [example("1")]}, "document 1 in both 'train' and 'val'"),
        ({"train": [example("1"), example("1")]}, "holds 1 twice"),
        ({"train": []}, "the split 'train' has no example, got 3 records_read$"),
    ],
)
def test_bad_splits_are_refused(
    tmp_path: Path, tokenizer: Path, splits: dict[str, list[Example]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "out", tokenizer, splits)
    assert list(tmp_path.iterdir()) == []


def test_bad_settings_and_outputs_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    splits = {"train": [example("1")]}
    with pytest.raises(ConfigError, match="vocab_size: got 10, allowed: at least the tokenizer's"):
        write(
            tmp_path / "out",
            tokenizer,
            splits,
            settings=PromptSettings(max_sequence_length=64, num_virtual_tokens=1, vocab_size=10),
        )
    with pytest.raises(DataError, match="1 is too long"):
        write(
            tmp_path / "out",
            tokenizer,
            splits,
            settings=PromptSettings(max_sequence_length=20, num_virtual_tokens=1),
        )
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "out", tokenizer, splits)
    write(tmp_path / "out", tokenizer, {"train": [example("9")]}, overwrite=True)
    assert read_prompt_data(tmp_path / "out").examples("train")[0].id == "9"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="is no folder of prepared examples"):
        write(tmp_path / "mine", tokenizer, splits, overwrite=True)


def test_reading_other_folders_is_an_error(tmp_path: Path, tokenizer: Path, toy_data: Path) -> None:
    write(tmp_path / "out", tokenizer, {"train": [example("1")]})
    data = read_prompt_data(tmp_path / "out")
    with pytest.raises(DataError, match="got 'dev', allowed: train, in"):
        data.examples("dev")
    (tmp_path / "out" / "train.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1 is not an example"):
        data.examples("train")
    pytest.importorskip("cerebras.pytorch", reason="the data processor is cerebras-pytorch's")
    from mediswift_cs.data.prompts import MediSwiftPromptDataProcessor

    loader = DataLoaderParams(
        data_processor="MediSwiftPromptDataProcessor",
        data_dir=str(toy_data / "train"),
        batch_size=1,
    )
    with pytest.raises(DataError, match="no shard of task examples"):
        MediSwiftPromptDataProcessor(loader)
