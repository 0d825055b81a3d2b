"""Reading LZ4-compressed HDF5, as cerebras-pytorch writes it, with every length checked.

HDF5's own filter trusts the lengths in a chunk: of a damaged one it may return what happens to be
in memory, which an export would then hold. The filter's layout of a chunk (big-endian): bytes of
the chunk (8), bytes of a block (4), then for each block its compressed bytes (4) and the data.
https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md
"""

import struct
from functools import cache
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints.damage import reason_of
from mediswift_cs.errors import CheckpointError

_LZ4_FILTER = 32004
_CHUNK_HEADER, _BLOCK_HEADER = struct.Struct(">QI"), struct.Struct(">I")


def is_lz4(dataset: h5py.Dataset) -> bool:
    """Whether :func:`read_block` can read it."""
    if dataset.chunks is None:
        return False
    properties = dataset.id.get_create_plist()
    return bool(properties.get_nfilters() == 1 and properties.get_filter(0)[0] == _LZ4_FILTER)


def read(source: Any, rows: slice | tuple[slice, ...]) -> NDArray[Any]:
    """``source[rows]``, by :func:`read_block` where the numbers are LZ4-compressed."""
    if not isinstance(source, h5py.Dataset) or not is_lz4(source):
        return np.asarray(source[rows])
    wanted = rows if isinstance(rows, tuple) else (rows,)
    wanted += (slice(None),) * (len(source.shape) - len(wanted))
    bounds = [part.indices(n)[:2] for part, n in zip(wanted, source.shape, strict=True)]
    block = np.empty([stop - start for start, stop in bounds], source.dtype)
    read_block(source, tuple(slice(start, stop) for start, stop in bounds), block)
    return block


def read_block(dataset: h5py.Dataset, selection: tuple[slice, ...], block: NDArray[Any]) -> None:
    """Fill ``block`` with ``dataset[selection]``, one slice with start and stop a dimension.

    Raises CheckpointError for damaged chunks.
    """
    shape = dataset.chunks
    steps = [
        range(part.start // size * size, part.stop, size)
        for part, size in zip(selection, shape, strict=True)
    ]
    for corner in product(*steps):
        chunk = np.frombuffer(_chunk(dataset, corner), dataset.dtype).reshape(shape)
        wanted = [
            (max(first, part.start), min(first + size, part.stop))
            for first, size, part in zip(corner, shape, selection, strict=True)
        ]
        place = tuple(
            slice(low - part.start, high - part.start)
            for (low, high), part in zip(wanted, selection, strict=True)
        )
        inside = tuple(
            slice(low - first, high - first)
            for (low, high), first in zip(wanted, corner, strict=True)
        )
        block[place] = chunk[inside]


@cache
def _codec() -> Any:
    # Imported here, because an inspection never needs it.
    import pyarrow

    return pyarrow.Codec("lz4_raw")


def _chunk(dataset: h5py.Dataset, corner: tuple[int, ...]) -> Any:
    expected = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
    try:
        skipped_filters, stored = dataset.id.read_direct_chunk(corner)
        if skipped_filters:
            if len(stored) != expected:
                raise ValueError(f"a chunk of {len(stored)} bytes, its shape says {expected}")
            return stored
        size, block_size = _CHUNK_HEADER.unpack_from(stored)
        if size != expected or not block_size:
            raise ValueError(f"a chunk of {size} bytes, its shape says {expected}")
        pieces = list(_blocks(stored, size, block_size))
    except (ValueError, OSError, struct.error) as error:
        raise CheckpointError(
            f"{dataset.name.lstrip('/')} in {dataset.file.filename} is damaged: {reason_of(error)}"
        ) from error
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _blocks(stored: bytes, size: int, block_size: int) -> Any:
    view, position = memoryview(stored), _CHUNK_HEADER.size
    for start in range(0, size, block_size):
        length = min(block_size, size - start)
        (compressed,) = _BLOCK_HEADER.unpack_from(stored, position)
        position += _BLOCK_HEADER.size
        data = view[position : position + compressed]
        if len(data) != compressed:
            raise ValueError("a chunk is cut short")
        # A block that does not get smaller is stored as it is.
        yield data if compressed == length else _codec().decompress(data, length)
        position += compressed
