from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.tokens.hdf5 import ShardWriter, read_shard_info

ATTRIBUTES = {"max_sequence_length": 8, "tokenizer_sha256": "ab" * 32, "vocab_size": 1000}


def write(folder: Path, samples: Any, blocks: Any, samples_per_shard: Any = 100) -> Any:
    folder.mkdir()
    writer = ShardWriter(
        folder, max_sequence_length=8, samples_per_shard=samples_per_shard, attributes=ATTRIBUTES
    )
    for block in np.split(samples, blocks):
        writer.write(block)
    writer.close()
    return writer


@pytest.fixture
def samples() -> Any:
    return np.random.default_rng(0).integers(0, 900, (250, 3, 8)).astype(np.int32)


def test_shards_hold_the_samples_in_order_and_say_what_they_are(
    tmp_path: Path, samples: Any
) -> None:
    writer = write(tmp_path / "a", samples, [1, 64, 65, 199])
    assert [path.name for path in writer.paths] == [
        "shard_00000.h5",
        "shard_00001.h5",
        "shard_00002.h5",
    ]
    assert writer.num_samples == [100, 100, 50]
    read = []
    for path in writer.paths:
        with h5py.File(path) as file:
            data = file["data"]
            assert data.dtype == np.dtype("<i4")
            assert data.chunks == (1, 3, 8)
            # A time stamp would make files of different seconds differ.
            assert not data.id.get_create_plist().get_obj_track_times()
            assert file.attrs["n_examples"] == len(data)
            assert file.attrs["max_token_id"] == data[:, [0, 2]].max()
            read.append(data[:])
        info = read_shard_info(path)
        assert (info.num_samples, info.max_sequence_length) == (len(read[-1]), 8)
        assert (info.tokenizer_sha256, info.vocab_size) == ("ab" * 32, 1000)
    np.testing.assert_array_equal(np.concatenate(read), samples)
    assert writer.max_token_id == samples[:, [0, 2]].max()


def test_the_loss_mask_row_is_not_taken_for_ids(tmp_path: Path) -> None:
    samples = np.zeros((1, 3, 8), np.int32)
    samples[:, 1] = 1
    assert write(tmp_path / "a", samples, []).max_token_id == 0


def test_same_samples_give_the_same_bytes(tmp_path: Path, samples: Any) -> None:
    one = write(tmp_path / "a", samples, [3, 130])
    two = write(tmp_path / "b", samples, [64, 100, 249])
    changed = samples.copy()
    changed[0, 0, 0] += 1
    three = write(tmp_path / "c", changed, [3, 130])
    for a, b in zip(one.paths, two.paths, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert one.paths[0].read_bytes() != three.paths[0].read_bytes()


def test_an_exact_multiple_leaves_no_empty_shard(tmp_path: Path, samples: Any) -> None:
    assert write(tmp_path / "a", samples[:200], []).num_samples == [100, 100]


def test_shards_of_modelzoos_own_tools_are_read_without_our_attributes(tmp_path: Path) -> None:
    path = tmp_path / "data-0.h5"
    with h5py.File(path, "w") as file:
        file.attrs["n_examples"] = 2
        file.create_dataset("data", data=np.zeros((2, 3, 16), np.int32))
    info = read_shard_info(path)
    assert (info.num_samples, info.max_sequence_length) == (2, 16)
    assert info.tokenizer_sha256 is info.vocab_size is info.max_token_id is info.prompt is None


def test_shards_of_task_examples_say_where_their_soft_prompt_lies(
    tmp_path: Path, samples: Any
) -> None:
    (path, *_) = write(tmp_path / "a", samples, []).paths
    assert read_shard_info(path).prompt is None, "a vocabulary alone makes no task examples"
    with h5py.File(path, "r+") as file:
        file.attrs["num_virtual_tokens"] = 0
    layout = {"vocab_size": 1000, "num_virtual_tokens": 0, "position": None}
    assert read_shard_info(path).prompt == layout
    with h5py.File(path, "r+") as file:
        file.attrs["soft_prompt_position"] = "infix"
    assert read_shard_info(path).prompt == {**layout, "position": "infix"}


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("other", (2, 3, 4), np.int32, "no data set named 'data'"),
        ("data", (2, 4), np.int32, r"got int32 \[2, 4\], allowed"),
        ("data", (2, 5, 4), np.int32, r"\[2, 5, 4\], allowed"),
        ("data", (2, 3, 4), np.float32, "float32"),
    ],
)
def test_other_hdf5_is_refused(
    tmp_path: Path, name: str, shape: Any, dtype: Any, message: str
) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=np.zeros(shape, dtype))
    with pytest.raises(DataError, match=message):
        read_shard_info(path)


def test_a_cut_file_is_refused(tmp_path: Path, samples: Any) -> None:
    path = write(tmp_path / "a", samples, []).paths[0]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a readable HDF5 file"):
        read_shard_info(path)


@pytest.mark.parametrize("row", [0, 2])
def test_an_id_that_wrapped_around_is_never_written(tmp_path: Path, row: Any) -> None:
    samples = np.zeros((1, 3, 8), np.int32)
    samples[0, row, 5] = np.int64(3_000_000_000).astype(np.int32)
    with pytest.raises(DataError, match="token ids: got -1294967296, allowed: 0 to 2147483647"):
        write(tmp_path / "a", samples, [])


@pytest.mark.parametrize("name", ["vocab_size", "max_token_id"])
def test_attributes_that_are_no_numbers_are_refused(
    tmp_path: Path, samples: Any, name: str
) -> None:
    path = write(tmp_path / "a", samples, []).paths[0]
    read_shard_info(path)
    for value in ("x", 2.5, [1, 2]):
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value
        with pytest.raises(DataError, match=rf"{name} of .*: got .*, allowed: a whole number"):
            read_shard_info(path)
