"""Jobs that read tensors of a ``.mdl`` file block by block and write them elsewhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints import lz4_chunks, number_formats
from mediswift_cs.checkpoints.mdl import StoredTensor, open_numbers, reopen
from mediswift_cs.checkpoints.place import BLOCK_BYTES, PartReport, Place, write_at
from mediswift_cs.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class MdlPart:
    """One tensor of a ``.mdl`` file with its mask; without a tensor, zeros of ``shape``."""

    name: str
    shape: tuple[int, ...]
    tensor: StoredTensor | None = None
    mask: StoredTensor | None = None


@dataclass(frozen=True, kw_only=True)
class FromMdl:
    """Job: join the parts along their first dimension, transpose if asked, and write."""

    name: str
    source: Path
    parts: tuple[MdlPart, ...]
    is_transposed: bool
    place: Place
    allow_nan: bool = False
    # Counted for the weights of linear layers only.
    count_zeros: bool = False

    @property
    def num_bytes(self) -> int:
        """Bytes to be written."""
        count = sum(math.prod(part.shape) for part in self.parts)
        return count * number_formats.storage_dtype(self.place.dtype).itemsize

    @property
    def memory_bytes(self) -> int:
        """Bytes held at most while it runs; an unchunked matrix is read as a whole."""
        whole = max(4 * math.prod(part.shape) for part in self.parts) * len(self.parts)
        masks = sum(math.prod(part.shape) for part in self.parts if part.mask)
        return 6 * BLOCK_BYTES + (whole + masks if self.is_transposed else 0)

    @property
    def target_paths(self) -> tuple[Path, ...]:
        """The file that is written to."""
        return (self.place.path,)

    def run(self) -> list[PartReport]:
        """Do it; CheckpointError for numbers that must not be written."""
        with reopen(self.source) as file:
            readers = [_PartReader(file, part, self) for part in self.parts]
            with self.place.path.open("r+b", buffering=0) as target:
                write = self._write_transposed if self.is_transposed else self._write_joined
                write(readers, target.fileno())
        return [reader.report() for reader in readers]

    def _write_joined(self, readers: list["_PartReader"], target: int) -> None:
        position = self.place.offset
        for reader in readers:
            for rows in reader.row_blocks():
                position += write_at(target, reader.read(rows), position)

    def _write_transposed(self, readers: list["_PartReader"], target: int) -> None:
        # A block of columns of every part is a block of whole rows of the transposed join.
        ends = np.cumsum([reader.part.shape[0] for reader in readers])
        storage = number_formats.storage_dtype(self.place.dtype)
        position = self.place.offset
        buffer: number_formats.Bits = np.empty((0, 0))
        for columns in _column_blocks(readers, int(ends[-1])):
            width = columns.stop - columns.start
            # New memory for each block would cost more than filling it.
            if len(buffer) < width:
                buffer = np.empty((width, ends[-1]), storage)
            block = buffer[:width]
            for reader, end in zip(readers, ends, strict=True):
                bits = reader.read((slice(None), columns))
                block[:, end - reader.part.shape[0] : end] = bits.T
            position += write_at(target, block, position)


class _PartReader:
    """Reads blocks of one part with its mask applied, and counts."""

    def __init__(self, file: h5py.File, part: MdlPart, job: FromMdl) -> None:
        self.part, self.job = part, job
        self.reads_columns = job.is_transposed
        self.weights = self._open(file, part.tensor)
        self.mask = None if part.mask is None else self._open(file, part.mask)
        self._buffers: dict[str, number_formats.Bits] = {}
        self.num_zeros = self.num_masked = self.num_nonfinite = 0

    def _open(
        self, file: h5py.File, tensor: StoredTensor | None
    ) -> h5py.Dataset | NDArray[Any] | None:
        if tensor is None:
            return None
        opened = open_numbers(file, tensor)
        # Columns of an unchunked dataset are scattered over the file: read it once.
        if self.reads_columns and isinstance(opened, h5py.Dataset) and opened.chunks is None:
            return np.asarray(opened[...])
        return opened

    def chunk_length(self, axis: int) -> int:
        """Blocks must be a multiple of this along ``axis``, so that no chunk is read twice."""
        datasets = [d for d in (self.weights, self.mask) if isinstance(d, h5py.Dataset)]
        return math.lcm(*(d.chunks[axis] for d in datasets if d.chunks))

    def row_blocks(self) -> Iterator[Any]:
        """Selections of rows of about BLOCK_BYTES each."""
        if not self.part.shape:
            yield ()
            return
        row_bytes = 4 * math.prod(self.part.shape[1:])
        step = _multiple(BLOCK_BYTES // max(row_bytes, 1), self.chunk_length(0))
        for start in range(0, self.part.shape[0], step):
            yield slice(start, min(start + step, self.part.shape[0]))

    def read(self, selection: Any) -> number_formats.Bits:
        """One block in the target's format."""
        tensor, job = self.part.tensor, self.job
        target = job.place.dtype
        if self.weights is None or tensor is None:
            zero = np.zeros((), number_formats.storage_dtype(target))
            return np.asarray(np.broadcast_to(zero, self.part.shape)[selection])
        bits = self._fetch(self.weights, selection, "weights")
        if self.mask is not None or job.count_zeros:
            bits = self._apply_mask(bits, tensor.dtype, selection)
        if found := number_formats.count_nonfinite(bits, tensor.dtype):
            self._take_nonfinite(found)
        converted = number_formats.convert(bits, tensor.dtype, target)
        if target != tensor.dtype and number_formats.count_nonfinite(converted, target) > found:
            largest = np.nanmax(np.abs(number_formats.decode(bits, tensor.dtype)))
            raise CheckpointError(
                f"{self.part.name} in {job.source} holds numbers too large for {target}, got "
                f"{largest:.6g}; allowed: --dtype float32 or bfloat16"
            )
        return converted

    def _fetch(
        self, source: h5py.Dataset | NDArray[Any], selection: Any, buffer_name: str
    ) -> number_formats.Bits:
        """``source[selection]``, in memory that the next call of this name uses again."""
        if not isinstance(source, h5py.Dataset) or not self.part.shape:
            return np.asarray(source[selection])
        shape = [s.stop - s.start for s in _slices(self.part.shape, selection)]
        size = math.prod(shape)
        buffer = self._buffers.get(buffer_name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[buffer_name] = np.empty(size, source.dtype)
        block = buffer[:size].reshape(shape)
        if lz4_chunks.is_lz4_matrix(source):
            rows, columns = _slices(self.part.shape, selection)
            lz4_chunks.read_block(source, rows, columns, block)
        else:
            source.read_direct(block, selection)
        return block

    def _apply_mask(
        self, bits: number_formats.Bits, dtype: str, selection: Any
    ) -> number_formats.Bits:
        nonzero = number_formats.is_nonzero(bits, dtype)
        if self.mask is not None:
            kept = self._fetch(self.mask, selection, "mask").astype(np.bool_, copy=False)
            stray = nonzero > kept
            if stray.any():
                # Only a checkpoint from before the first step has any: others stay bit for bit.
                bits = np.where(stray, bits.dtype.type(0), bits)
                self.num_masked += int(np.count_nonzero(stray))
                nonzero &= kept
        if self.job.count_zeros:
            self.num_zeros += nonzero.size - int(np.count_nonzero(nonzero))
        return bits

    def _take_nonfinite(self, found: int) -> None:
        self.num_nonfinite += found
        if not self.job.allow_nan:
            raise CheckpointError(
                f"{self.part.name} in {self.job.source} holds NaN or infinite numbers, got at "
                f"least {found}; allowed: none, unless --allow-nan is given"
            )

    def report(self) -> PartReport:
        """The counts of the blocks read."""
        return PartReport(
            name=self.part.name,
            num_elements=math.prod(self.part.shape),
            num_zeros=self.num_zeros if self.job.count_zeros else None,
            num_masked=self.num_masked,
            num_nonfinite=self.num_nonfinite,
        )


@dataclass(frozen=True, kw_only=True)
class CompareMdl:
    """Job: make sure that two tensors of a ``.mdl`` file, stored twice, are the same."""

    name: str
    source: Path
    first: StoredTensor
    second: StoredTensor
    num_bytes: int = 0
    memory_bytes: int = 6 * BLOCK_BYTES
    target_paths: tuple[Path, ...] = ()

    def run(self) -> list[PartReport]:
        """Do it; CheckpointError where they differ."""
        with reopen(self.source) as file:
            one, other = open_numbers(file, self.first), open_numbers(file, self.second)
            rows = max(1, BLOCK_BYTES // (4 * math.prod(self.first.shape[1:])))
            for start in range(0, self.first.shape[0], rows):
                block = slice(start, start + rows)
                if not _same_bits(one[block], other[block]):
                    raise CheckpointError(
                        f"{self.second.key} differs from {self.first.key} in {self.source}; "
                        f"allowed: the same numbers, because the two are one weight"
                    )
        return []


def _slices(shape: tuple[int, ...], selection: Any) -> list[slice]:
    """The selection as one plain slice a dimension."""
    given = selection if isinstance(selection, tuple) else (selection,)
    given = (*given, *[slice(None)] * (len(shape) - len(given)))
    return [slice(*s.indices(length)) for s, length in zip(given, shape, strict=True)]


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    # As integers, because NaN differs from itself.
    as_integers = np.dtype(f"u{one.dtype.itemsize}")
    return np.array_equal(one.view(as_integers), other.view(as_integers))


def _column_blocks(readers: list[_PartReader], num_rows: int) -> Iterator[slice]:
    num_columns = readers[0].part.shape[1]
    unit = math.lcm(*(reader.chunk_length(1) for reader in readers))
    step = _multiple(BLOCK_BYTES // (4 * num_rows), unit)
    for start in range(0, num_columns, step):
        yield slice(start, min(start + step, num_columns))


def _multiple(size: int, unit: int) -> int:
    """The largest multiple of ``unit`` up to ``size``, but at least ``unit``."""
    return max(unit, size // unit * unit, 1)
