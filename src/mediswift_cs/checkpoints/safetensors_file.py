"""safetensors files, written in place and read in part.

The library itself holds a whole file in memory when it writes one, and has no bfloat16 for numpy
when it reads one; whether a file is sound is the library's to say. The format is a length, a JSON
header and the numbers: https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from mediswift_cs.checkpoints import number_formats
from mediswift_cs.checkpoints.blocks import Place
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.number_formats import Bits
from mediswift_cs.errors import CheckpointError

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

_DTYPE_NAMES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "bool": "BOOL",
    "uint8": "U8",
    "int32": "I32",
    "int64": "I64",
}
_DTYPES = {short: name for name, short in _DTYPE_NAMES.items()}
_ALIGNMENT = 8


def create(path: Path, tensors: Mapping[str, NewTensor]) -> dict[str, Place]:
    """Make a file with its header and room for the numbers; says where those of each tensor go."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        end = position + tensor.num_bytes
        header[name] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    start = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(start + position)
    return {
        name: Place(path=path, offset=start + header[name]["data_offsets"][0], dtype=tensor.dtype)
        for name, tensor in tensors.items()
    }


def shard(tensors: Mapping[str, NewTensor], max_bytes: int) -> list[dict[str, NewTensor]]:
    """Split into groups of at most ``max_bytes`` (a larger tensor has a group to itself)."""
    shards: list[dict[str, NewTensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if shards[-1] and filled + tensor.num_bytes > max_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += tensor.num_bytes
    return shards


def shard_names(num_shards: int) -> list[str]:
    """transformers' file names."""
    if num_shards == 1:
        return [WEIGHTS_NAME]
    return [f"model-{i:05d}-of-{num_shards:05d}.safetensors" for i in range(1, num_shards + 1)]


def index_json(shards: Sequence[Mapping[str, NewTensor]]) -> str:
    """transformers' list of which tensor is in which file."""
    names = shard_names(len(shards))
    weight_map = {name: file for file, group in zip(names, shards, strict=True) for name in group}
    total = sum(tensor.num_bytes for group in shards for tensor in group.values())
    content = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True, kw_only=True)
class TensorRegion:
    """Where a tensor lies: its numbers, row-major, from ``offset`` on."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str

    def __getitem__(self, rows: slice, /) -> Bits:
        """The rows of a slice, as bits."""
        return self.read(rows.start or 0, rows.stop)

    def read(self, start: int = 0, stop: int | None = None) -> Bits:
        """Rows ``start`` to ``stop`` as bits, a new array."""
        rows = self.shape[0] if self.shape else 1
        stop = rows if stop is None else min(stop, rows)
        row_shape = self.shape[1:]
        storage = number_formats.storage_dtype(self.dtype)
        row_bytes = int(np.prod(row_shape, dtype=np.int64)) * storage.itemsize
        shape = (stop - start, *row_shape) if self.shape else ()
        array = np.empty(shape, storage)
        view = memoryview(array.reshape(-1).view(np.uint8).data)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + start * row_bytes)
            done = 0
            while done < len(view):
                count = file.readinto(view[done:])
                if not count:
                    raise CheckpointError(f"{self.path} ends in the middle of a tensor")
                done += count
        return array


def read_header(path: Path) -> dict[str, TensorRegion]:
    """Every tensor of one file.

    Raises:
        CheckpointError: the file cannot be read, is damaged or cut, has bytes that are no tensor's,
            or a number format that is not converted.
    """
    tensors: dict[str, NewTensor] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            # The library has seen that the tensors fill the file to its end, without gaps.
            for name in file.offset_keys():
                piece = file.get_slice(name)
                if (dtype := _DTYPES.get(piece.get_dtype())) is None:
                    raise CheckpointError(
                        f"{name} in {path} has dtype {piece.get_dtype()}, allowed: "
                        f"{', '.join(_DTYPES)}"
                    )
                tensors[name] = NewTensor(shape=tuple(piece.get_shape()), dtype=dtype)
        offset = path.stat().st_size - sum(tensor.num_bytes for tensor in tensors.values())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error
    regions = {}
    for name, tensor in tensors.items():
        regions[name] = TensorRegion(
            path=path, offset=offset, shape=tensor.shape, dtype=tensor.dtype
        )
        offset += tensor.num_bytes
    return regions


def read_folder(folder: Path) -> dict[str, TensorRegion]:
    """Every tensor of a transformers folder, whether sharded or not."""
    index = folder / INDEX_NAME
    if index.is_file():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = sorted(set(weight_map.values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is not a list of shards: {error}") from error
        if bad := [name for name in files if Path(name).name != name]:
            raise CheckpointError(f"{index} names a file outside its folder: {bad[0]}")
        found = {k: v for name in files for k, v in read_header(folder / name).items()}
        if missing := sorted(weight_map.keys() - found.keys()):
            raise CheckpointError(f"{folder} has no tensor {missing[0]}, which its index lists")
        return found
    if (folder / WEIGHTS_NAME).is_file():
        return read_header(folder / WEIGHTS_NAME)
    if (folder / "pytorch_model.bin").is_file():
        raise CheckpointError(
            f"{folder} has pytorch_model.bin only, which is a pickle and could run code; allowed: "
            f"safetensors (save it again with transformers' save_pretrained)"
        )
    raise CheckpointError(f"no {WEIGHTS_NAME} and no {INDEX_NAME} in {folder}")
