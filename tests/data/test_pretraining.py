"""The data processor: order, resuming, refusals."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mediswift_cs.data.cluster import ClusterDataLoader
from mediswift_cs.data.hdf5_dataset import HDF5Dataset
from mediswift_cs.data.pretraining import MediSwiftPretrainingDataProcessor
from mediswift_cs.data.restartable import position
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.params.schema import DataLoaderParams
from mediswift_cs.tokens.hdf5 import ShardWriter

pytestmark = pytest.mark.usefixtures("cpu_backend")
LENGTH = 8
FINGERPRINT = "0" * 64


def write_shards(folder: Path, num_samples: int, first: int = 0, **attributes: Any) -> Path:
    """Shards in which sample i holds the number ``first`` + i in every place."""
    folder.mkdir(parents=True)
    given = {"tokenizer_sha256": FINGERPRINT, "vocab_size": 1000, **attributes}
    writer = ShardWriter(folder, max_sequence_length=LENGTH, samples_per_shard=7, attributes=given)
    values = np.arange(first, first + num_samples, dtype=np.int32)[:, None, None]
    samples = np.broadcast_to(values, (num_samples, 3, LENGTH)).copy()
    samples[:, 1] = 1
    writer.write(samples)
    writer.close()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "train", 23)


def params(folder: Path, **changes: Any) -> DataLoaderParams:
    values = {
        "data_processor": "MediSwiftPretrainingDataProcessor",
        "data_dir": str(folder),
        "batch_size": 4,
        "shuffle": True,
        "shuffle_seed": 5,
    }
    return DataLoaderParams(**{**values, **changes})


def loader(folder: Path, **changes: Any) -> ClusterDataLoader:
    return MediSwiftPretrainingDataProcessor(params(folder, **changes)).create_dataloader()


def numbers(batches: Any, count: int) -> list[list[int]]:
    """The samples of the first ``count`` batches, epoch after epoch."""
    found: list[list[int]] = []
    while len(found) < count:
        for batch in batches:
            found.append(batch["input_ids"][:, 0].tolist())
            if len(found) == count:
                break
    return found


def test_samples_are_int32_and_named_as_modelzoo_names_them(folder: Path) -> None:
    batch = next(iter(loader(folder, shuffle=False)))
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert all(t.dtype == torch.int32 and t.shape == (4, LENGTH) for t in batch.values())
    assert batch["input_ids"][:, 0].tolist() == [0, 1, 2, 3]


def test_every_sample_comes_once_an_epoch(folder: Path) -> None:
    found = numbers(loader(folder, drop_last=False), 6)
    assert sorted(chain(*found)) == list(range(23))
    assert found != numbers(loader(folder, drop_last=False, shuffle_seed=6), 6), "control: the seed"


def test_order_is_the_same_for_any_number_of_workers(folder: Path) -> None:
    alone = numbers(loader(folder), 12)
    for num_workers in (1, 3):
        assert numbers(loader(folder, num_workers=num_workers), 12) == alone


@pytest.mark.parametrize("num_done", [1, 4, 5, 6, 13])
def test_resumes_at_the_very_sample(folder: Path, num_done: int) -> None:
    whole = numbers(loader(folder), 20)
    continued = loader(folder)
    continued.load_state_dict(position(loader(folder).identity, num_done * 4))
    # A new epoch starts its own list of batches, so compare the stream of samples.
    assert [*chain(*numbers(continued, 6))] == [*chain(*whole[num_done : num_done + 6])]
    assert numbers(loader(folder), 6) != whole[num_done : num_done + 6], "control"


def test_refuses_to_continue_on_other_data(folder: Path, tmp_path: Path) -> None:
    state = position(loader(folder).identity, 8)
    other = loader(write_shards(tmp_path / "other", 24))
    with pytest.raises(CheckpointError, match=r"num_samples was 23 .* got 24"):
        other.load_state_dict(state)
    # As many samples, and others: the next fold of a task.
    fold = loader(write_shards(tmp_path / "fold", 23, first=100))
    with pytest.raises(CheckpointError, match=r"shards_sha256 was"):
        fold.load_state_dict(state)
    loader(write_shards(tmp_path / "copy", 23)).load_state_dict(state)
    with pytest.raises(CheckpointError, match="shuffle_seed was 5"):
        loader(folder, shuffle_seed=6).load_state_dict(state)
    loader(folder, shuffle_seed=6).load_state_dict(state, strict=False)


def test_refuses_shards_of_another_tokenizer(folder: Path, tmp_path: Path) -> None:
    MediSwiftPretrainingDataProcessor(params(folder, tokenizer_sha256=FINGERPRINT))
    with pytest.raises(DataError, match=f"got {FINGERPRINT}, allowed: {'1' * 64}"):
        MediSwiftPretrainingDataProcessor(params(folder, tokenizer_sha256="1" * 64))
    other = write_shards(tmp_path / "other", 9, tokenizer_sha256="2" * 64)
    with pytest.raises(DataError, match="one tokenizer"):
        MediSwiftPretrainingDataProcessor(params(folder, data_dir=[str(folder), str(other)]))


def test_refuses_another_length_and_too_few_samples(folder: Path) -> None:
    with pytest.raises(DataError, match="got 8, allowed: 16"):
        MediSwiftPretrainingDataProcessor(params(folder, max_sequence_length=16))
    with pytest.raises(DataError, match="got 24, allowed: at most 23"):
        MediSwiftPretrainingDataProcessor(params(folder, batch_size=24))


def test_names_a_damaged_shard(folder: Path) -> None:
    shard = folder / "shard_00001.h5"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match="shard_00001"):
        MediSwiftPretrainingDataProcessor(params(folder))


def test_padding_samples_count_in_no_loss(folder: Path) -> None:
    dataset = HDF5Dataset(sorted(folder.glob("*.h5")))
    assert not dataset.padding_sample()["attention_mask"].any()
    assert len(dataset) == 23
    with pytest.raises(IndexError):
        dataset[23]
