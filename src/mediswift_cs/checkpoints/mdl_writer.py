"""Writing ``.mdl`` files that cerebras-pytorch 2.10 loads, in two steps.

:func:`create` writes everything but the tensors' numbers and says where in the file each tensor
goes; the numbers are then written there with plain writes, in any order and by any process, so a
full disk is an ordinary error and no tensor is held twice.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from mediswift_cs.checkpoints import number_formats, treespec
from mediswift_cs.checkpoints.mdl import FORMAT_VERSION
from mediswift_cs.checkpoints.number_formats import TensorForm
from mediswift_cs.errors import CheckpointError

# The numbers that cerebras-pytorch's runtime gives to dtypes.
_RUNTIME_DTYPES = {
    "bool": 1,
    "int16": 3,
    "int32": 4,
    "int64": 5,
    "uint8": 6,
    "float16": 10,
    "float32": 11,
    "float64": 12,
    "bfloat16": 15,
}
# The attribute of a file that was written to its end.
SUCCESS = "__SUCCESS__"
# The release whose files these are like.
CEREBRAS_PYTORCH_VERSION = "2.10.0"


class NewTensor(TensorForm):
    """A tensor to be written."""


def create(path: Path, state: Mapping[str, Any]) -> dict[str, int]:
    """Write ``path`` with the plain leaves of ``state`` and room for its NewTensor leaves.

    Returns:
        The byte offset of each tensor's numbers (row-major), by dotted key. The file counts as
        incomplete until :func:`finish`.
    """
    offsets: dict[str, int] = {}
    with _disk_errors(path), h5py.File(path, "w") as file:
        file.attrs["__spec__"] = json.dumps([None, treespec.encode(state)])
        file.attrs["__version__"] = FORMAT_VERSION
        file.attrs["__cstorch_version__"] = CEREBRAS_PYTORCH_VERSION
        for key, value in treespec.leaves(state):
            if isinstance(value, NewTensor):
                offsets[key] = _reserve(file, key, value)
            file.attrs[f"{key}.__metadata__"] = _leaf_metadata(key, value)
    return offsets


def finish(path: Path) -> None:
    """Mark the file as complete."""
    with _disk_errors(path), h5py.File(path, "r+") as file:
        file.attrs[SUCCESS] = True


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """HDF5 tells a full disk in many lines, and by other exceptions than OSError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = re.search(r"errno = (\d+)", str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error


def _reserve(file: h5py.File, key: str, tensor: NewTensor) -> int:
    """Make the dataset with its attributes, without writing numbers; returns their offset."""
    space = h5py.h5s.create_simple(tensor.shape)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # The same conversion gives the same bytes at any time of day.
    properties.set_obj_track_times(False)
    storage = h5py.h5t.py_create(number_formats.storage_dtype(tensor.dtype), logical=True)
    raw = h5py.h5d.create(file.id, key.encode(), storage, space, properties)
    dataset = h5py.Dataset(raw)
    for name, value in _tensor_description(tensor).items():
        dataset.attrs[name] = value
    offset = raw.get_offset()
    assert offset is not None, "early allocation gives every dataset its place"
    return int(offset)


def _tensor_description(tensor: NewTensor) -> dict[str, Any]:
    return {
        "__TORCH__": True,
        "shapes": [list(tensor.shape)],
        "dtypes": [f"torch.{tensor.dtype}"],
        "rtfx_dtypes": [_RUNTIME_DTYPES[tensor.dtype]],
        "__TYPE__": "TorchTensorSerializer",
        "__NUMPY__": True,
        "compressed": False,
    }


def _leaf_metadata(key: str, value: Any) -> str:
    if isinstance(value, NewTensor):
        description = _tensor_description(value)
    elif isinstance(value, str):
        description = {"string_value": value, "__TYPE__": "StringSerializer", "__NONE__": True}
    elif isinstance(value, bool | int | float):
        description = {"scalar_value": value, "__TYPE__": "ScalarSerializer", "__NONE__": True}
    elif value is None:
        description = {"__TYPE__": "NoneSerializer", "__NONE__": True}
    else:
        raise CheckpointError(f"{key} has type {type(value).__name__}, allowed: plain data")
    return json.dumps(
        {
            "__spec__": [{key: "*"}, treespec.encode({key: None})],
            "__objects__": [key],
            f"{key}.__metadata__": description,
        }
    )
