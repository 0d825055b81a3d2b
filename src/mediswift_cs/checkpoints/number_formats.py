"""Number formats as bits in numpy: what a dtype is stored as, and conversions between dtypes.

numpy has no bfloat16; its bits travel as int16, as in ``.mdl`` files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mediswift_cs.errors import CheckpointError

Bits = NDArray[Any]
WeightDtype = Literal["float32", "bfloat16", "float16"]
WEIGHT_DTYPES: tuple[str, ...] = get_args(WeightDtype)

_STORAGE: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.int16),
    "bool": np.dtype(np.bool_),
    "float64": np.dtype(np.float64),
    "uint8": np.dtype(np.uint8),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
}


@dataclass(frozen=True, kw_only=True)
class TensorForm:
    """The shape and the number format of a tensor; ``dtype`` is torch's name, as ``bfloat16``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def num_elements(self) -> int:
        """How many numbers the tensor has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def num_bytes(self) -> int:
        """How many bytes its numbers take, uncompressed."""
        return self.num_elements * storage_dtype(self.dtype).itemsize


def storage_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy dtype that carries the bits of torch's ``dtype``."""
    if dtype not in _STORAGE:
        raise CheckpointError(f"a tensor has dtype {dtype}, allowed: {', '.join(_STORAGE)}")
    return _STORAGE[dtype]


def decode(bits: Bits, dtype: str) -> NDArray[np.float32]:
    """The numbers as float32, exactly (a copy only where the format differs)."""
    if dtype == "bfloat16":
        return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return bits.astype(np.float32, copy=False)


def encode(values: NDArray[np.float32], dtype: str) -> Bits:
    """Round float32 to the nearest number of ``dtype``, ties to even; NaN stays NaN."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(storage_dtype(dtype), copy=False)
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    # Rounding up the payload of a NaN could carry it over to another number.
    rounded = np.where(np.isnan(values), np.uint32(0x7FC0), rounded)
    return rounded.astype(np.uint16).view(np.int16)


def convert(bits: Bits, source: str, target: str) -> Bits:
    """The same numbers in another format; the bits themselves when it is the same one."""
    if source == target:
        return bits
    return encode(decode(bits, source), target)


def check_weights(dtypes: Mapping[str, str], source: str) -> None:
    """Raise CheckpointError for the first weight whose numbers are of no format for weights."""
    for name, dtype in dtypes.items():
        if dtype not in WEIGHT_DTYPES:
            raise CheckpointError(
                f"{name} in {source} has dtype {dtype}, allowed: {', '.join(WEIGHT_DTYPES)}"
            )


def multiplied(bits: Bits, dtype: str, factor: float) -> tuple[Bits, str]:
    """The numbers times ``factor`` and their format: float32, so that they are rounded once.

    With a factor of 1 they are the same bits in the same format.
    """
    if factor == 1.0:
        return bits, dtype
    return decode(bits, dtype) * np.float32(factor), "float32"


def is_nonzero(bits: Bits, dtype: str) -> NDArray[np.bool_]:
    """Where the numbers differ from 0 and -0."""
    if dtype == "bfloat16":
        return np.asarray((bits & np.int16(0x7FFF)) != 0)
    return np.asarray(bits != 0)


def count_nonfinite(bits: Bits, dtype: str) -> int:
    """How many numbers are NaN or infinite."""
    if dtype == "bfloat16":
        return int(np.count_nonzero((bits & np.int16(0x7F80)) == 0x7F80))
    if bits.dtype.kind != "f":
        return 0
    # A finite sum proves that all are finite, in a third of the time of looking at each.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(bits.sum(dtype=np.float32)):
            return 0
    return int(bits.size - np.count_nonzero(np.isfinite(bits)))
