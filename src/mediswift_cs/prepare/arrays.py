"""Arrays on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mediswift_cs.storage.write import atomic_file


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write ``.npy`` whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
