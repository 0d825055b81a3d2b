"""Numbers on their way from one checkpoint file to another, in blocks of a few megabytes.

Whoever reads a checkpoint yields blocks, which say where they go; one loop writes them. No tensor
but a matrix that is stored across its target's rows is ever held as a whole.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mediswift_cs.checkpoints import lz4_chunks, number_formats
from mediswift_cs.checkpoints.number_formats import Bits
from mediswift_cs.errors import CheckpointError
from mediswift_cs.progress import progress

# Small enough for the caches, large enough that a read costs little more than its bytes.
BLOCK_BYTES = 2 * 2**20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a target file a tensor begins (in bytes), and in which number format it goes."""

    path: Path
    offset: int
    dtype: str

    def blocks(self, numbers: Iterable[Bits]) -> Iterator["Block"]:
        """Arrays that follow one another, from the beginning of the tensor on."""
        offset = self.offset
        for array in numbers:
            yield Block(path=self.path, offset=offset, numbers=array)
            offset += array.nbytes


@dataclass(frozen=True, kw_only=True)
class Block:
    """Numbers and their place in a file; they may change once the next block is asked for."""

    path: Path
    offset: int
    numbers: Bits


@dataclass(kw_only=True)
class PartReport:
    """What was seen in one ModelZoo tensor.

    Attributes:
        name: of the tensor, or of zeros that only transformers has.
        num_zeros: zeros in the target; None where they were not counted.
        num_masked: numbers that the mask turned into zeros now.
        num_nonfinite: NaN and infinite numbers.
    """

    name: str
    num_elements: int
    num_zeros: int | None = None
    num_masked: int = 0
    num_nonfinite: int = 0


class Rows(Protocol):
    """A stored tensor of which rows can be read: a dataset of HDF5, or an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor that the rows belong to."""

    def __getitem__(self, rows: Any, /) -> Any:
        """The rows of a slice, as bits."""


def write_blocks(blocks: Iterable[Block], num_bytes: int) -> None:
    """Write each block to its place, with a progress bar up to ``num_bytes``."""
    with progress("converting", "B", total=num_bytes) as bar, ExitStack() as stack:
        files: dict[Path, int] = {}
        for block in blocks:
            if block.path not in files:
                file = stack.enter_context(block.path.open("r+b", buffering=0))
                files[block.path] = file.fileno()
            bar.update(write_at(files[block.path], block.numbers, block.offset))


def write_at(file: int, bits: Bits, offset: int) -> int:
    """Write an array's bytes at ``offset`` of an open file; returns their number."""
    data = memoryview(np.ascontiguousarray(bits).reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], offset + done)
    return len(data)


def checked(
    bits: Bits, source: str, target: str, report: PartReport, place: str, *, allow_nan: bool
) -> Bits:
    """The numbers in the target's format, with NaN and infinite ones counted in ``report``.

    Args:
        source: number format of ``bits``.
        place: the file that they are from, for an error.

    Raises:
        CheckpointError: NaN or infinite numbers that are not allowed, or numbers that are too large
            for the target's format.
    """
    if found := number_formats.count_nonfinite(bits, source):
        report.num_nonfinite += found
        if not allow_nan:
            raise CheckpointError(
                f"{report.name} in {place} holds NaN or infinite numbers, got at least {found}; "
                f"allowed: none, unless --allow-nan is given"
            )
    converted = number_formats.convert(bits, source, target)
    if target != source and number_formats.count_nonfinite(converted, target) > found:
        values = np.abs(number_formats.decode(bits, source))
        largest = values[np.isfinite(values)].max()
        raise CheckpointError(
            f"{report.name} in {place} holds numbers too large for {target}, got {largest:.6g}; "
            f"allowed: --dtype float32 or bfloat16"
        )
    return converted


def row_slices(shape: tuple[int, ...], multiple: int = 1) -> Iterator[slice]:
    """Slices of rows of about BLOCK_BYTES each, a ``multiple`` of rows but the last."""
    row_bytes = 4 * math.prod(shape[1:])
    yield from _slices(shape[0], BLOCK_BYTES // max(row_bytes, 1), multiple)


def column_slices(shape: tuple[int, ...], multiple: int) -> Iterator[slice]:
    """Slices of the columns of a matrix, as :func:`row_slices` of its rows."""
    yield from _slices(shape[1], BLOCK_BYTES // max(4 * shape[0], 1), multiple)


def _slices(length: int, step: int, multiple: int) -> Iterator[slice]:
    step = max(multiple, step // multiple * multiple, 1)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def same_numbers(one: Rows, other: Rows, shape: tuple[int, ...]) -> bool:
    """Whether two stored tensors of one shape are the same, bit for bit."""
    # As bytes, because NaN differs from itself.
    return all(
        lz4_chunks.read(one, rows).tobytes() == lz4_chunks.read(other, rows).tobytes()
        for rows in row_slices(shape)
    )
