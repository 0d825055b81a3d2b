"""Where numbers are written to, and what is reported of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mediswift_cs.checkpoints import number_formats

# Small enough for the caches, large enough that a read costs little more than its bytes.
BLOCK_BYTES = 2 * 2**20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a target file a tensor goes, and in which number format."""

    path: Path
    offset: int
    dtype: str


@dataclass(frozen=True, kw_only=True)
class PartReport:
    """What was seen in one tensor.

    Attributes:
        num_zeros: zeros in the target; None where they were not counted.
        num_masked: numbers that the mask turned into zeros now.
        num_nonfinite: NaN and infinite numbers.
    """

    name: str
    num_elements: int
    num_zeros: int | None = None
    num_masked: int = 0
    num_nonfinite: int = 0


def write_at(file: int, bits: number_formats.Bits, offset: int) -> int:
    """Write an array's bytes at ``offset``; returns their number."""
    data = memoryview(np.ascontiguousarray(bits).reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], offset + done)
    return len(data)
