"""Jobs that read tensors of safetensors files and write them elsewhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mediswift_cs.checkpoints import number_formats
from mediswift_cs.checkpoints.place import BLOCK_BYTES, PartReport, Place, write_at
from mediswift_cs.checkpoints.safetensors_file import TensorRegion
from mediswift_cs.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class FromSafetensors:
    """Job: cut one ModelZoo tensor (rows ``start`` to ``stop`` of the join) out and write it."""

    name: str
    source: TensorRegion
    is_transposed: bool
    start: int
    stop: int
    places: tuple[Place, ...]
    allow_nan: bool = False
    must_be_zero: bool = False

    @property
    def num_bytes(self) -> int:
        """Bytes to be written."""
        width = self.source.shape[0] if self.is_transposed else math.prod(self.source.shape[1:])
        count = len(self.places) * (self.stop - self.start) * width
        return count * number_formats.storage_dtype(self.source.dtype).itemsize

    @property
    def memory_bytes(self) -> int:
        """Bytes held at most while it runs; a transposed matrix is read as a whole."""
        return 6 * BLOCK_BYTES + (12 * math.prod(self.source.shape) if self.is_transposed else 0)

    @property
    def target_paths(self) -> tuple[Path, ...]:
        """The files that are written to."""
        return tuple(place.path for place in self.places)

    def run(self) -> list[PartReport]:
        """Do it; CheckpointError for numbers that must not be written."""
        num_nonfinite = position = written = 0
        for bits in self._blocks():
            num_nonfinite += number_formats.count_nonfinite(bits, self.source.dtype)
            if num_nonfinite and not self.allow_nan:
                raise CheckpointError(
                    f"{self.name} in {self.source.path} holds NaN or infinite numbers; "
                    f"allowed: none, unless --allow-nan is given"
                )
            if self.must_be_zero and number_formats.is_nonzero(bits, self.source.dtype).any():
                raise CheckpointError(
                    f"{self.name} in {self.source.path} is not zero, but the model has no such bias"
                )
            for place in self.places:
                converted = number_formats.convert(bits, self.source.dtype, place.dtype)
                with place.path.open("r+b", buffering=0) as target:
                    written = write_at(target.fileno(), converted, place.offset + position)
            position += written
        count = math.prod(self.source.shape) if self.source.shape else 1
        share = count * (self.stop - self.start) // (self._num_rows or 1)
        return [PartReport(name=self.name, num_elements=share, num_nonfinite=num_nonfinite)]

    @property
    def _num_rows(self) -> int:
        return self.source.shape[-1 if self.is_transposed else 0]

    def _blocks(self) -> Iterator[number_formats.Bits]:
        if self.is_transposed:
            # The numbers of one part are scattered over all rows of the join.
            yield np.ascontiguousarray(self.source.read()[:, self.start : self.stop].T)
            return
        row_bytes = 4 * math.prod(self.source.shape[1:])
        step = max(1, BLOCK_BYTES // row_bytes)
        for start in range(self.start, self.stop, step):
            yield self.source.read(start, min(start + step, self.stop))


@dataclass(frozen=True, kw_only=True)
class CompareRegions:
    """Job: make sure that two tensors of safetensors files, stored twice, are the same."""

    name: str
    first: TensorRegion
    second: TensorRegion
    num_bytes: int = 0
    memory_bytes: int = 6 * BLOCK_BYTES
    target_paths: tuple[Path, ...] = ()

    def run(self) -> list[PartReport]:
        """Do it; CheckpointError where they differ."""
        rows = max(1, BLOCK_BYTES // (4 * math.prod(self.first.shape[1:])))
        for start in range(0, self.first.shape[0], rows):
            one, other = (r.read(start, start + rows) for r in (self.first, self.second))
            if one.tobytes() != other.tobytes():
                raise CheckpointError(
                    f"{self.name} in {self.second.path} differs, though the model ties it; "
                    f"allowed: the same numbers"
                )
        return []
