"""Data folders against the params, from the manifest, or from shards that have none."""

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params import data_contents
from mediswift_cs.params.load import LoadedParams, load_params
from mediswift_cs.params.run_options import CheckData
from mediswift_cs.tokens.manifest import (
    MANIFEST_NAME,
    Manifest,
    ShardEntry,
    SplitEntry,
    TokenizerEntry,
)

SHA256 = "ab" * 32


def write_data(
    folder: Path, *, length: int = 256, max_token_id: int = 4095, num_samples: int = 64
) -> None:
    """A folder as `mediswift shards` makes it; the shards are empty, as nothing may open them."""

    def split(name: str) -> SplitEntry:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "shard_00000.h5").touch()
        shard = ShardEntry(file=f"{name}/shard_00000.h5", num_samples=num_samples, md5="0" * 32)
        return SplitEntry(
            num_documents=1,
            num_tokens=num_samples * length,
            num_samples=num_samples,
            max_token_id=max_token_id,
            shards=(shard,),
        )

    manifest = Manifest(
        package_version="0",
        max_sequence_length=length,
        tokenizer=TokenizerEntry(
            file="tokenizer.json", sha256=SHA256, vocab_size=max_token_id + 1, eos_id=0
        ),
        sources=(),
        counts={},
        splits={"train": split("train"), "val": split("val")},
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json())


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """./data/pubmed, where the shipped files look."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "pubmed"
    write_data(folder)
    return folder


def load(*overrides: str, check_data: CheckData = "both") -> LoadedParams:
    return load_params("mediswift_tiny_75", overrides, check_data=check_data)


def lines_of(*overrides: str, check_data: CheckData = "both") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*overrides, check_data=check_data)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("check_data", ["train", "eval", "both", "none"])
def test_data_that_fit(data: Path, check_data: CheckData) -> None:
    assert load(check_data=check_data).params.trainer.fit is not None


def test_missing_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = (
        "trainer.fit.train_dataloader.data_dir: got './data/pubmed/train', allowed: "
        "a folder of *.h5 shards; data folder data/pubmed/train does not exist"
    )
    val = (
        "val_dataloader.data_dir: got './data/pubmed/val', allowed: a folder of *.h5 shards; "
        "data folder data/pubmed/val does not exist"
    )
    both = lines_of()
    assert len(both) == 2
    assert both[0].startswith(train)
    assert val in both[1]
    (line,) = lines_of(check_data="train")
    assert line.startswith(train)
    (line,) = lines_of(check_data="eval")
    assert line.startswith("trainer.validate." + val)
    assert load(check_data="none").params


def test_a_folder_without_shards(data: Path) -> None:
    (data / "train" / "shard_00000.h5").unlink()
    (line,) = lines_of()
    assert "no *.h5 file in data/pubmed/train" in line


def test_the_folder_above_the_splits(data: Path) -> None:
    (line,) = lines_of("trainer.fit.train_dataloader.data_dir=data/pubmed")
    assert "give the folder of one split" in line


def test_several_folders(data: Path) -> None:
    write_data(data.parent / "more")
    both = "trainer.fit.train_dataloader.data_dir=[data/pubmed/train, data/more/train]"
    assert load(both).params
    # 64 + 64 samples
    assert load(both, "trainer.fit.train_dataloader.batch_size=128").params
    assert len(lines_of(both, "trainer.fit.train_dataloader.batch_size=129")) == 1
    (line,) = lines_of("trainer.fit.train_dataloader.data_dir=[data/pubmed/train, data/none]")
    assert line.startswith("trainer.fit.train_dataloader.data_dir.1: got 'data/none'")


def test_vocabulary_smaller_than_the_largest_id(data: Path) -> None:
    write_data(data, max_token_id=4096)
    lines = lines_of()
    assert lines[0] == (
        "trainer.init.model.vocab_size: got 4096, allowed: at least 4097, as ./data/pubmed/train "
        "has the token id 4096 (in mediswift_tiny_75.yaml)"
    )
    assert load("trainer.init.model.vocab_size=8193").params


def test_sequences_longer_than_the_positions(data: Path) -> None:
    write_data(data, length=512)
    wanted = [
        "trainer.fit.train_dataloader.max_sequence_length=null",
        "trainer.fit.val_dataloader.max_sequence_length=null",
    ]
    lines = lines_of(*wanted, check_data="train")
    assert lines == [
        "trainer.init.model.max_position_embeddings: got 256, allowed: at least 512, the length "
        "of the sequences in ./data/pubmed/train (in mediswift_tiny_75.yaml)"
    ]
    assert load(*wanted, "trainer.init.model.max_position_embeddings=512").params


def test_another_length_than_the_file_says(data: Path) -> None:
    write_data(data, length=128)
    (line,) = lines_of(check_data="train")
    assert "max_sequence_length: got 256, allowed: 128, the length" in line


def test_another_tokenizer(data: Path) -> None:
    key = "trainer.fit.train_dataloader.tokenizer_sha256"
    assert load(f"{key}={SHA256}").params
    (line,) = lines_of(f"{key}={'cd' * 32}")
    assert f"allowed: {SHA256}, the tokenizer of ./data/pubmed/train" in line


def test_batch_larger_than_the_data(data: Path) -> None:
    write_data(data, num_samples=7)
    (line,) = lines_of(check_data="train")
    assert "batch_size: got 8, allowed: at most the 7 samples" in line
    # Validation keeps its incomplete batch.
    assert load(check_data="eval").params
    write_data(data, num_samples=8)
    assert load().params


def test_no_sample_at_all(data: Path) -> None:
    write_data(data, num_samples=0)
    assert "without a sample" in lines_of(check_data="eval")[0]


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 99}', '{"format_version": 1}'])
def test_a_broken_manifest(data: Path, text: str) -> None:
    (data / MANIFEST_NAME).write_text(text)
    (line,) = lines_of(check_data="train")
    assert "manifest.json" in line


def test_a_folder_that_the_manifest_does_not_know(data: Path) -> None:
    (data / "shard.h5").touch()  # beside the manifest, in no split
    (line,) = lines_of("trainer.fit.train_dataloader.data_dir=data/pubmed")
    assert "knows the splits train, val, not pubmed" in line


def write_foreign(folder: Path, samples: npt.NDArray[Any], name: str = "a.h5") -> Path:
    """A shard as other tools make it: samples and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / name, "w") as file:
        file["data"] = samples
    return folder


def foreign_lines(folder: Path, *overrides: str) -> list[str]:
    train = "trainer.fit.train_dataloader"
    lengths = [f"{train}.max_sequence_length=null", f"{train}.data_dir={folder}"]
    try:
        load(*lengths, *overrides, check_data="train")
    except ConfigError as error:
        return str(error).splitlines()
    return []


def ids(*, length: int = 16, row: int = 0, last: int = 0) -> npt.NDArray[np.int32]:
    """70 samples of zeros; the last id of one row is `last`."""
    samples = np.zeros((70, 3, length), np.int32)
    samples[-1, row, -1] = last
    return samples


def test_shards_of_other_tools_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_contents, "BLOCK_BYTES", 1000)  # several blocks, the last one short
    assert foreign_lines(write_foreign(tmp_path / "fits", ids(last=4095))) == []
    for row in (0, 2):  # ids and labels
        folder = write_foreign(tmp_path / f"large{row}", ids(row=row, last=4096))
        (line,) = foreign_lines(folder)
        assert line.startswith("trainer.init.model.vocab_size: got 4096, allowed: at least 4097")
        assert foreign_lines(folder, "trainer.init.model.vocab_size=4097") == []
        (line,) = foreign_lines(write_foreign(tmp_path / f"negative{row}", ids(row=row, last=-100)))
        assert "with the token id -100, allowed: shards whose token ids are at least 0" in line
    # A loss mask is no id.
    assert foreign_lines(write_foreign(tmp_path / "mask", ids(row=1, last=9999))) == []
    (line,) = foreign_lines(write_foreign(tmp_path / "long", ids(length=257)))
    assert line.startswith("trainer.init.model.max_position_embeddings: got 256, allowed: at least")
    (line,) = foreign_lines(write_foreign(tmp_path / "few", ids()[:7]))
    assert "batch_size: got 8, allowed: at most the 7 samples" in line


def test_every_foreign_shard_is_read(tmp_path: Path) -> None:
    folder = write_foreign(tmp_path / "two", ids())
    assert foreign_lines(folder) == []
    write_foreign(folder, ids(last=5000), "b.h5")
    (line,) = foreign_lines(folder)
    assert "has the token id 5000" in line
    write_foreign(folder, ids(length=8), "c.h5")
    (line,) = foreign_lines(folder)
    assert "must have one sequence length, got 16" in line


def test_a_foreign_shard_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_foreign(tmp_path / "data", ids())
    damaged = folder / "b.h5"
    damaged.write_bytes((folder / "a.h5").read_bytes()[:4000])
    (line,) = foreign_lines(folder)
    assert "b.h5" in line
    damaged.unlink()
    write_foreign(folder, np.zeros(100, np.int32))
    (line,) = foreign_lines(folder)
    assert "allowed: integers [samples, 3, length]" in line
    # ModelZoo's own processors read other layouts.
    processor = "trainer.fit.train_dataloader.data_processor=GptHDF5MapDataProcessor"
    assert foreign_lines(folder, processor) == []


def test_memory_for_foreign_shards_is_bounded(tmp_path: Path) -> None:
    samples = np.zeros((4000, 3, 2048), np.int32)
    folder = write_foreign(tmp_path / "large", samples)
    size = samples.nbytes
    del samples
    tracemalloc.start()
    data_contents.read_contents(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 5 * data_contents.BLOCK_BYTES, "control: the blocks are small beside the file"
    assert peak < 2 * data_contents.BLOCK_BYTES


def test_sections_that_a_mode_needs(data: Path) -> None:
    (line,) = lines_of("trainer.fit=null", check_data="train")
    assert line.startswith("trainer.fit: got nothing")
    overrides = ["trainer.validate=null", "trainer.validate_all=null"]
    (line,) = lines_of(*overrides, check_data="eval")
    assert line.startswith("trainer.validate: got nothing")
    assert load(*overrides, check_data="train").params


def test_data_problems_come_with_the_others(data: Path) -> None:
    write_data(data, max_token_id=9000)
    lines = lines_of("trainer.init.sparsity.sparsity=1.75", check_data="train")
    assert len(lines) == 2
