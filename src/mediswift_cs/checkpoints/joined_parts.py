"""Tensors of a ``.mdl`` file joined to one of transformers', block by block, masks applied."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints import lz4_chunks, number_formats
from mediswift_cs.checkpoints.blocks import PartReport, checked, column_slices, row_slices
from mediswift_cs.checkpoints.mdl import StoredTensor, open_numbers
from mediswift_cs.checkpoints.number_formats import Bits


@dataclass(frozen=True, kw_only=True)
class MdlPart:
    """One tensor of a ``.mdl`` file with its mask; without a tensor, zeros of ``shape``.

    Attributes:
        factor: by which its numbers are multiplied.
    """

    name: str
    shape: tuple[int, ...]
    tensor: StoredTensor | None = None
    mask: StoredTensor | None = None
    factor: float = 1.0


def joined(
    file: h5py.File,
    parts: Sequence[MdlPart],
    dtype: str,
    reports: list[PartReport],
    *,
    is_transposed: bool,
    allow_nan: bool,
) -> Iterator[Bits]:
    """The parts joined along their first dimension, transposed if asked, as arrays of ``dtype``.

    An array may change once the next is asked for. At the end each part's report is added to
    ``reports``; zeros are counted for transposed matrices, which are the linear layers' weights.

    Raises:
        CheckpointError: a part is not stored as described, or holds numbers that are refused.
    """
    readers = [
        _PartReader(file, part, dtype, is_transposed=is_transposed, allow_nan=allow_nan)
        for part in parts
    ]
    if is_transposed:
        yield from _transposed(readers, dtype)
    else:
        for reader in readers:
            yield from reader.row_blocks()
    reports += [reader.report for reader in readers]


def _transposed(readers: list["_PartReader"], dtype: str) -> Iterator[Bits]:
    # A block of columns of every part is a block of whole rows of the transposed join.
    ends = np.cumsum([reader.part.shape[0] for reader in readers])
    shape = (int(ends[-1]), readers[0].part.shape[1])
    buffer: Bits = np.empty((0, 0))
    for columns in column_slices(shape, math.lcm(*(reader.chunk_length(1) for reader in readers))):
        width = columns.stop - columns.start
        # New memory for each block would cost more than filling it.
        if len(buffer) < width:
            buffer = np.empty((width, shape[0]), number_formats.storage_dtype(dtype))
        block = buffer[:width]
        for reader, end in zip(readers, ends, strict=True):
            bits = reader.read((slice(0, reader.part.shape[0]), columns))
            block[:, end - reader.part.shape[0] : end] = bits.T
        yield block


class _PartReader:
    """Reads blocks of one part in the target's format, with its mask applied, and counts."""

    def __init__(
        self, file: h5py.File, part: MdlPart, dtype: str, *, is_transposed: bool, allow_nan: bool
    ) -> None:
        self.part, self.dtype, self.allow_nan = part, dtype, allow_nan
        self.path, self.counts_zeros = str(file.filename), is_transposed
        self.weights = None if part.tensor is None else _open(file, part.tensor, is_transposed)
        self.mask = None if part.mask is None else _open(file, part.mask, is_transposed)
        self._buffers: dict[str, Bits] = {}
        self.report = PartReport(
            name=part.name,
            num_elements=math.prod(part.shape),
            num_zeros=0 if is_transposed else None,
        )

    def chunk_length(self, axis: int) -> int:
        """Blocks must be a multiple of this along ``axis``, so that no chunk is read twice."""
        datasets = [d for d in (self.weights, self.mask) if isinstance(d, h5py.Dataset)]
        return math.lcm(*(d.chunks[axis] for d in datasets if d.chunks))

    def row_blocks(self) -> Iterator[Bits]:
        """The whole part, a few rows at a time."""
        if not self.part.shape:
            yield self.read(())
            return
        for rows in row_slices(self.part.shape, self.chunk_length(0)):
            yield self.read((rows, *(slice(0, length) for length in self.part.shape[1:])))

    def read(self, selection: tuple[slice, ...]) -> Bits:
        """One block: a slice of each dimension."""
        tensor = self.part.tensor
        if self.weights is None or tensor is None:
            zero = np.zeros((), number_formats.storage_dtype(self.dtype))
            return np.asarray(np.broadcast_to(zero, self.part.shape)[selection])
        bits = self._fetch(self.weights, selection, "weights")
        if self.mask is not None or self.counts_zeros:
            bits = self._apply_mask(bits, tensor.dtype, selection)
        bits, dtype = number_formats.multiplied(bits, tensor.dtype, self.part.factor)
        return checked(bits, dtype, self.dtype, self.report, self.path, allow_nan=self.allow_nan)

    def _fetch(
        self, source: h5py.Dataset | NDArray[Any], selection: tuple[slice, ...], buffer_name: str
    ) -> Bits:
        """``source[selection]``, in memory that the next call of this name uses again."""
        if not isinstance(source, h5py.Dataset) or not selection:
            return np.asarray(source[selection])
        shape = [part.stop - part.start for part in selection]
        size = math.prod(shape)
        buffer = self._buffers.get(buffer_name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[buffer_name] = np.empty(size, source.dtype)
        block = buffer[:size].reshape(shape)
        if lz4_chunks.is_lz4(source):
            lz4_chunks.read_block(source, selection, block)
        else:
            source.read_direct(block, selection)
        return block

    def _apply_mask(self, bits: Bits, dtype: str, selection: tuple[slice, ...]) -> Bits:
        nonzero = number_formats.is_nonzero(bits, dtype)
        if self.mask is not None:
            kept = self._fetch(self.mask, selection, "mask").astype(np.bool_, copy=False)
            stray = nonzero > kept
            if stray.any():
                # Only a checkpoint from before the first step has any: others stay bit for bit.
                bits = np.where(stray, bits.dtype.type(0), bits)
                self.report.num_masked += int(np.count_nonzero(stray))
                nonzero &= kept
        if self.report.num_zeros is not None:
            self.report.num_zeros += nonzero.size - int(np.count_nonzero(nonzero))
        return bits


def _open(
    file: h5py.File, tensor: StoredTensor, reads_columns: bool
) -> h5py.Dataset | NDArray[Any]:
    opened = open_numbers(file, tensor)
    # Columns of an unchunked dataset are scattered over the file: read it once.
    if reads_columns and isinstance(opened, h5py.Dataset) and opened.chunks is None:
        return np.asarray(opened[...])
    return opened
