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
from mediswift_cs.checkpoints.number_formats import Bits, TensorForm
from mediswift_cs.checkpoints.typed import parse_object, read_object
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.problem import dotted, spell

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
    """The file names that transformers gives the parts of a model's weights."""
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
class TensorRegion(TensorForm):
    """Where a tensor lies: its numbers, row-major, from ``offset`` on."""

    path: Path
    offset: int

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
    """Every tensor that the header of one file lists.

    Raises:
        CheckpointError: the file cannot be read, is damaged or cut, has bytes that are no tensor's,
            a tensor twice, a number format that is not converted, or another library's layout.
    """
    try:
        # The library sees that the tensors fill the file to its end, without gaps.
        with safe_open(path, framework="numpy"), path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            header = parse_object(file.read(header_bytes), f"the header of {path}")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is not a complete safetensors file: {reason}") from error
    layout = (header.pop("__metadata__", None) or {}).get("format", "pt")
    if layout != "pt":
        raise CheckpointError(
            f"format of {path}: got {layout!r:.80}, allowed: 'pt', PyTorch's names and orientation"
        )
    regions = {}
    for name, entry in header.items():
        if (dtype := _DTYPES.get(entry["dtype"])) is None:
            raise CheckpointError(
                f"{dotted((name,))} in {path} has dtype {entry['dtype']}, allowed: "
                f"{', '.join(_DTYPES)}"
            )
        offset = 8 + header_bytes + entry["data_offsets"][0]
        shape = tuple(entry["shape"])
        regions[name] = TensorRegion(path=path, offset=offset, shape=shape, dtype=dtype)
    return regions


def read_folder(folder: Path) -> dict[str, TensorRegion]:
    """Every tensor of a transformers folder, whether sharded or not, found as transformers does."""
    if (folder / WEIGHTS_NAME).is_file():
        return read_header(folder / WEIGHTS_NAME)
    if (folder / INDEX_NAME).is_file():
        return _read_shards(folder)
    if (folder / "pytorch_model.bin").is_file():
        raise CheckpointError(
            f"{folder} has pytorch_model.bin only, which is a pickle and could run code; allowed: "
            f"safetensors (save it again with transformers' save_pretrained)"
        )
    raise CheckpointError(f"no {WEIGHTS_NAME} and no {INDEX_NAME} in {folder}")


def _read_shards(folder: Path) -> dict[str, TensorRegion]:
    """The tensors of all shards, each from the file that the index names."""
    index = folder / INDEX_NAME
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{index} is not a list of shards: weight_map: got {spell(weight_map)}, allowed: a "
            f"file for each tensor"
        )
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".."):
            raise CheckpointError(
                f"{index} names a file outside its folder: got {spell(name)}, allowed: the name of "
                f"a file in {folder}"
            )
        if not (folder / name).is_file():
            raise CheckpointError(f"{index} names the file {name}, which is not in {folder}")
    found: dict[str, TensorRegion] = {}
    for name in dict.fromkeys(weight_map.values()):
        for tensor, region in read_header(folder / name).items():
            if weight_map.get(tensor) != name:
                raise CheckpointError(
                    f"{dotted((tensor,))} is in {folder / name}, allowed: the file that "
                    f"{INDEX_NAME} lists for it, got {spell(weight_map.get(tensor))}"
                )
            found[tensor] = region
    if missing := sorted(weight_map.keys() - found.keys()):
        raise CheckpointError(
            f"{folder} has no tensor {dotted((missing[0],))}, which its index lists"
        )
    return found
