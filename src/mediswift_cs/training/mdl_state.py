"""A whole training state as a ``.mdl`` file, written and read without cerebras-pytorch.

Tensors are written uncompressed, one after the other, so that a full disk is an ordinary error, no
second copy is held, and what is read again stays on the disk until it is used.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import xxhash
from torch import Tensor

from mediswift_cs.checkpoints import lz4_chunks, mdl, mdl_writer, number_formats, treespec
from mediswift_cs.checkpoints.mdl import MdlFile, OpaqueObject, StoredTensor
from mediswift_cs.errors import CheckpointError
from mediswift_cs.progress import progress

# An attribute of the file beside those of cerebras-pytorch, which does not look at it: the xxh3
# checksum of each tensor by its key, and of all other attributes.
_CHECKSUMS, _METADATA = "__mediswift_checksums__", "metadata"
_DAMAGED = "its checksum is another; take an earlier checkpoint"


def write(state: dict[str, Any], path: Path) -> None:
    """Write nested dictionaries and lists of tensors, numbers and texts to ``path``.

    Raises:
        CheckpointError: a leaf is of another type.
        OSError: the file cannot be written.
    """
    offsets = mdl_writer.create(path, _map_tensors(state, _description))
    checksums: dict[str, str] = {}
    with path.open("r+b") as file:
        leaves = [(key, value) for key, value in treespec.leaves(state) if key in offsets]
        for key, value in progress("save", "tensors", leaves, stays=False):
            file.seek(offsets[key])
            file.write(_bits(value).data)
            checksums[key] = _checksum(value)
    with h5py.File(path, "r+") as file:
        checksums[_METADATA] = _metadata_checksum(file)
        file.attrs[_CHECKSUMS] = json.dumps(checksums)
    mdl_writer.finish(path)


def read(path: Path, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The nested state in a file, its checksums looked at, where it has any.

    Tensors that were written uncompressed stay on the disk after that, until they are used.

    Args:
        leave_out: top-level keys of what is not read.

    Raises:
        CheckpointError: it is no complete ``.mdl`` file of plain data, or damaged.
    """
    with MdlFile(path) as file, progress("load", "tensors", stays=False) as bar:
        checksums = _read_checksums(path)

        def load(leaf: Any) -> Any:
            if isinstance(leaf, OpaqueObject):
                raise CheckpointError(f"the checkpoint {path} holds a {leaf.type_name}")
            if not isinstance(leaf, StoredTensor):
                return leaf
            bar.update()
            tensor = _load(file, leaf)
            if checksums and _checksum(tensor) != checksums.get(leaf.key):
                raise CheckpointError(f"{leaf.key} in the checkpoint {path} is damaged: {_DAMAGED}")
            return tensor

        bar.total = len(file.tensors)
        wanted = {key: value for key, value in file.state.items() if key not in leave_out}
        state: dict[str, Any] = _map_leaves(wanted, load)
        return state


def _read_checksums(path: Path) -> dict[str, str]:
    """What :func:`write` has noted; {} in files of other programs and of earlier versions."""
    with mdl.open_complete(path) as file:
        if _CHECKSUMS not in file.attrs:
            return {}
        try:
            checksums = dict(json.loads(file.attrs[_CHECKSUMS]))
            is_right = checksums.pop(_METADATA, None) == _metadata_checksum(file)
        except (ValueError, TypeError, OSError, RuntimeError):
            is_right = False
        if not is_right:
            raise CheckpointError(f"the checkpoint {path} is damaged in its metadata: {_DAMAGED}")
        return checksums


def _metadata_checksum(file: h5py.File) -> str:
    digest = xxhash.xxh3_64()
    for name in sorted(set(file.attrs) - {_CHECKSUMS, mdl_writer.SUCCESS}):
        digest.update(f"{name}={file.attrs[name]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _load(file: MdlFile, stored: StoredTensor) -> Tensor:
    numbers = file.numbers(stored)
    offset = numbers.id.get_offset() if isinstance(numbers, h5py.Dataset) else None
    if offset is not None and stored.num_bytes:
        # Private pages: what is changed is never written back.
        bits: Any = np.memmap(file.path, numbers.dtype, mode="c", offset=offset, shape=stored.shape)
    else:
        bits = np.array(lz4_chunks.read(numbers, ()))
    tensor = torch.from_numpy(np.asarray(bits))
    return tensor.view(torch.bfloat16) if stored.dtype == "bfloat16" else tensor


def _description(tensor: Tensor) -> mdl_writer.NewTensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return mdl_writer.NewTensor(shape=tuple(tensor.shape), dtype=dtype)


def _checksum(tensor: Tensor) -> str:
    return xxhash.xxh3_64_hexdigest(_bits(tensor).data)


def _bits(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    bits: np.ndarray[Any, Any] = tensor.reshape(-1).numpy()
    assert bits.dtype == number_formats.storage_dtype(str(tensor.dtype).removeprefix("torch."))
    return bits


def _map_tensors(value: Any, function: Callable[[Tensor], Any]) -> Any:
    return _map_leaves(value, lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf)


def _map_leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _map_leaves(inner, function) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_leaves(inner, function) for inner in value)
    return function(value)
