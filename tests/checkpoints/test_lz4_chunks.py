"""Our way through LZ4 chunks, against HDF5's own."""

import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from mediswift_cs.checkpoints import lz4_chunks
from mediswift_cs.checkpoints.blocks import same_numbers
from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.summary import summarize
from mediswift_cs.errors import CheckpointError

GENERATOR = np.random.default_rng(0)
SPARSE = GENERATOR.normal(size=(150, 90)).astype(np.float32) * (GENERATOR.random((150, 90)) < 0.25)


def stored(path: Path, numbers: np.ndarray, **options: object) -> h5py.Dataset:
    file = h5py.File(path, "w")
    return file.create_dataset(
        "w", data=numbers, chunks=(64, 32), **{**hdf5plugin.LZ4(), **options}
    )


@pytest.mark.parametrize("block_size", [0, 1000, 4096])
@pytest.mark.parametrize(
    "numbers",
    [SPARSE, SPARSE != 0, GENERATOR.normal(size=(150, 90)), np.zeros((150, 90), np.int16)],
    ids=["sparse", "mask", "incompressible", "zeros"],
)
def test_blocks_are_those_of_hdf5(tmp_path: Path, numbers: np.ndarray, block_size: int) -> None:
    """Chunks that stick out over both edges, several LZ4 blocks a chunk, blocks stored raw."""
    dataset = stored(tmp_path / "a.h5", numbers, **hdf5plugin.LZ4(nbytes=block_size))
    assert lz4_chunks.is_lz4(dataset)
    for rows, columns in (
        (slice(0, 150), slice(0, 90)),
        (slice(64, 150), slice(32, 64)),
        (slice(0, 64), slice(64, 90)),
        (slice(0, 100), slice(0, 40)),
        (slice(10, 140), slice(33, 71)),
    ):
        expected = dataset[rows, columns]
        block = np.full_like(expected, 7)
        lz4_chunks.read_block(dataset, (rows, columns), block)
        assert block.tobytes() == expected.tobytes()


def test_other_storage_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert not lz4_chunks.is_lz4(file.create_dataset("plain", data=SPARSE))
        gzip = file.create_dataset("gzip", data=SPARSE, compression="gzip")
        assert not lz4_chunks.is_lz4(gzip)
        both = file.create_dataset("both", data=SPARSE, shuffle=True, **hdf5plugin.LZ4())
        assert not lz4_chunks.is_lz4(both)


DAMAGES = [
    lambda raw: raw[:7],
    lambda raw: raw[:40],
    lambda raw: b"\xff" * 12 + raw[12:],
    lambda raw: raw[:12] + b"\x7f\xff\xff\xff" + raw[16:],
    lambda raw: raw[:16] + b"\xff" * (len(raw) - 16),
    # HDF5's filter takes these two for whole, and gives what happens to be in memory.
    lambda raw: struct.pack(">QII", 16, 16, 16) + b"A" * 16,
    lambda raw: raw[:12] + struct.pack(">I", 64 * 32 * 4) + raw[16:],
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_chunks(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    dataset = stored(tmp_path / "a.h5", SPARSE)
    _, raw = dataset.id.read_direct_chunk((64, 32))
    dataset.id.write_direct_chunk((64, 32), damage(raw))
    with pytest.raises(CheckpointError, match=r"w in .*a\.h5 is damaged"):
        lz4_chunks.read_block(dataset, (slice(0, 150), slice(0, 90)), np.empty_like(SPARSE))


def vector(path: Path) -> h5py.Dataset:
    """Two chunks and a part of a third, as cerebras-pytorch writes a bias of 3,072 numbers."""
    # Only what gets smaller is compressed.
    numbers = np.repeat(GENERATOR.normal(size=96).astype(np.float32), 32)
    file = h5py.File(path, "w")
    return file.create_dataset("b", data=numbers, chunks=(1400,), **hdf5plugin.LZ4())


def test_vectors_are_those_of_hdf5(tmp_path: Path) -> None:
    dataset = vector(tmp_path / "a.h5")
    assert lz4_chunks.is_lz4(dataset)
    for part in (slice(0, 3072), slice(1400, 3072), slice(5, 2900)):
        block = np.full_like(dataset[part], 7)
        lz4_chunks.read_block(dataset, (part,), block)
        assert block.tobytes() == dataset[part].tobytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_vectors(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    dataset = vector(tmp_path / "a.h5")
    _, raw = dataset.id.read_direct_chunk((1400,))
    dataset.id.write_direct_chunk((1400,), damage(raw))
    with pytest.raises(CheckpointError, match=r"b in .*a\.h5 is damaged"):
        lz4_chunks.read_block(dataset, (slice(0, 3072),), np.empty(3072, np.float32))


NORM = "model.transformer_decoder.layers.0.norm1.weight"


def compress_and_damage(path: Path, name: str) -> np.ndarray:
    """Store a tensor of a checkpoint LZ4-compressed, with one byte of its chunk's sizes flipped."""
    with MdlFile(path) as whole:
        name = whole.tensors[name].key
    with h5py.File(path, "r+") as file:
        numbers = file[name][...]
        attributes = dict(file[name].attrs)
        del file[name]
        dataset = file.create_dataset(name, data=numbers, chunks=numbers.shape, **hdf5plugin.LZ4())
        dataset.attrs.update(attributes)
        corner = (0,) * numbers.ndim
        _, raw = dataset.id.read_direct_chunk(corner)
        # The last byte of the number of bytes in the chunk.
        dataset.id.write_direct_chunk(corner, raw[:7] + bytes([raw[7] ^ 4]) + raw[8:])
    return numbers


def test_verification_refuses_a_damaged_vector(sparse: Path, tmp_path: Path) -> None:
    from mediswift_cs.checkpoints.verify import DecoderReader

    path = tmp_path / "a.mdl"
    shutil.copyfile(sparse, path)
    DecoderReader(read_checkpoint(path), "float32").logits([1, 2])  # control: whole
    compress_and_damage(path, NORM)
    reader = DecoderReader(read_checkpoint(path), "float32")
    with pytest.raises(CheckpointError, match=rf"{re.escape(NORM)} in .*a\.mdl is damaged"):
        reader.logits([1, 2])


def test_comparison_of_two_names_refuses_a_damaged_vector(sparse: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    shutil.copyfile(sparse, path)
    numbers = compress_and_damage(path, NORM)
    with MdlFile(path) as file:
        dataset = file.numbers(file.tensors[NORM])
        assert same_numbers(numbers, numbers, numbers.shape)
        with pytest.raises(CheckpointError, match=rf"{re.escape(NORM)} in .*a\.mdl is damaged"):
            same_numbers(dataset, numbers, numbers.shape)


def test_inspection_refuses_a_damaged_mask(sparse: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    shutil.copyfile(sparse, path)
    with MdlFile(path) as file:
        name = next(key for key in file.tensors if key.endswith("_mask"))
    summarize(path, exact=False)  # control: whole
    compress_and_damage(path, name)
    for exact in (False, True):
        with pytest.raises(CheckpointError, match=rf"{re.escape(name)} in .*a\.mdl is damaged"):
            summarize(path, exact=exact)
