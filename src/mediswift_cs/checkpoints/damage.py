"""What reading a damaged checkpoint raises, and what is said of it, without Python's own words."""

import struct
from typing import Any

from mediswift_cs.storage import read

# The errors of h5py (OSError, RuntimeError) included.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
# They speak of values and their types, and not of the file.
_PYTHONS = (ArithmeticError, AttributeError, IndexError, RecursionError, TypeError, struct.error)


def reason_of(error: Exception) -> str:
    """What an error says of a file that it was raised for."""
    if isinstance(error, KeyError):
        # Its own text is the key alone.
        return f"{error} is missing"
    if isinstance(error, OSError | UnicodeDecodeError):
        return read.reason_of(error)
    if isinstance(error, _PYTHONS):
        return "a part of it is not what it must be"
    return " ".join(str(error).split())


def number(value: Any, name: str) -> float:
    """A number that stands in a file; ValueError, with ``name``, for anything else."""
    try:
        return float(value)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: got {value!r:.40}, allowed: a number") from error
