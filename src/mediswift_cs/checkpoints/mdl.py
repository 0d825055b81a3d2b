"""Reading ``.mdl``, the checkpoint format of cerebras-pytorch 2.10, with h5py alone.

The file is HDF5: one dataset for each tensor, under its dotted name, and for each leaf of the
state one JSON attribute that says what it is. Tensors stay on disk until a part of one is asked
for, and nothing is ever unpickled.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints import number_formats, treespec
from mediswift_cs.checkpoints.damage import DAMAGE, number, reason_of
from mediswift_cs.checkpoints.number_formats import TensorForm
from mediswift_cs.errors import CheckpointError

FORMAT_VERSION = 0.5

# What the format may hold; its fallback for anything else is a pickle, and its deferred types
# name other files, in which there may be pickles.
PLAIN_TYPES = frozenset(
    {
        "TorchTensorSerializer",
        "DeferredFullTensor",
        "NumpyArraySerializer",
        "ScalarSerializer",
        "StringSerializer",
        "NoneSerializer",
        "LinkedObject",
    }
)

_LINK = "link to another file"


@dataclass(frozen=True, kw_only=True)
class StoredTensor(TensorForm):
    """A tensor in the file.

    Attributes:
        key: name of its dataset.
        fill_value: for a constant tensor that has no dataset, its one value.
    """

    key: str
    fill_value: float | None = None


@dataclass(frozen=True)
class OpaqueObject:
    """A leaf that is not plain data; it is never read."""

    type_name: str


class MdlFile:
    """An open ``.mdl`` file.

    Attributes:
        state: the nested state, with StoredTensor in place of tensors.
    """

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError for a file that is absent, cut short, of another format or not
        complete in itself: one that takes numbers from other files.
        """
        self.path = path
        with _closed_on_errors(path, open_complete(path)) as self._file:
            # Each use of File.attrs looks the root group up again.
            self._attributes = self._file.attrs
            self.state = self._read_state()
            if not isinstance(self.state, dict) or not isinstance(self.state.get("model"), dict):
                raise CheckpointError(f"a checkpoint must hold the key 'model', got none in {path}")
            for name in self._file:
                _refuse_link(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def cerebras_pytorch_version(self) -> str:
        """The release that wrote the file."""
        return str(self._attributes.get("__cstorch_version__", "of unknown release"))

    @property
    def tensors(self) -> dict[str, StoredTensor]:
        """The model's weights, masks and buffers by their state-dict key."""
        return {k: t for k, t in self.state["model"].items() if isinstance(t, StoredTensor)}

    def numbers(self, tensor: StoredTensor) -> h5py.Dataset | NDArray[Any]:
        """Something to slice: the tensor's bits in their storage dtype, read when sliced."""
        return open_numbers(self._file, tensor)

    def _read_state(self) -> Any:
        match json.loads(self._attributes["__spec__"]):
            case [_, str(spec)]:
                return treespec.decode(spec, self._leaf)
        raise ValueError("__spec__ is no pair of a version and a text")

    def _leaf(self, key: str) -> Any:
        description = json.loads(self._attributes[f"{key}.__metadata__"])
        content = description.get(f"{key}.__metadata__")
        if content is None:
            return OpaqueObject("nested object")
        kind = content["__TYPE__"]
        if kind == "LinkedObject":
            target = content["key"]
            if target == key:
                raise ValueError(f"{key} is linked to itself")
            return self._leaf(target)
        if kind == "TorchTensorSerializer":
            dtype = content["dtypes"][0].removeprefix("torch.")
            return StoredTensor(key=key, shape=_shape(content["shapes"][0]), dtype=dtype)
        if kind == "DeferredFullTensor":
            dtype = content["dtype"].removeprefix("torch.")
            fill = number(content["fill_value"] or 0.0, f"the value of {key}")
            return StoredTensor(
                key=key, shape=_shape(content["shape"]), dtype=dtype, fill_value=fill
            )
        if kind in ("ScalarSerializer", "StringSerializer"):
            return content["scalar_value" if kind == "ScalarSerializer" else "string_value"]
        return None if kind == "NoneSerializer" else OpaqueObject(kind)


def _shape(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"the shape of a tensor is {sizes!r}, allowed: a list of whole numbers")
    return tuple(sizes)


@contextmanager
def _closed_on_errors(path: Path, file: h5py.File) -> Iterator[h5py.File]:
    """The file stays open where the block ends well; what damage raises gets the file's name."""
    with ExitStack() as stack:
        stack.callback(file.close)
        try:
            yield file
        except DAMAGE as error:
            raise CheckpointError(
                f"the checkpoint {path} is damaged, in its metadata: {reason_of(error)}"
            ) from error
        stack.pop_all()


def open_complete(path: Path) -> h5py.File:
    """Open a ``.mdl`` file that was written to its end; CheckpointError for any other."""
    if not path.is_file():
        raise CheckpointError(f"checkpoint not found: {path}")
    import hdf5plugin  # noqa: F401  registers LZ4, which cerebras-pytorch compresses with

    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise CheckpointError(
            f"cannot read the checkpoint {path}: not a complete .mdl (HDF5) file "
            f"({reason_of(error)})"
        ) from error
    with _closed_on_errors(path, file):
        if "__spec__" not in file.attrs:
            raise CheckpointError(f"{path} is an HDF5 file, but not a .mdl checkpoint")
        version = number(file.attrs.get("__version__", 0), "__version__")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"the checkpoint {path} has format version {version}, allowed: {FORMAT_VERSION}"
            )
        if not file.attrs.get("__SUCCESS__", False):
            raise CheckpointError(f"the checkpoint {path} was not written to its end")
    return file


def open_numbers(file: h5py.File, tensor: StoredTensor) -> h5py.Dataset | NDArray[Any]:
    """Something to slice: the tensor's bits in their storage dtype, read when sliced."""
    storage = number_formats.storage_dtype(tensor.dtype)
    if tensor.fill_value is not None:
        filled = number_formats.encode(np.array(tensor.fill_value, np.float32), tensor.dtype)
        return np.broadcast_to(filled, tensor.shape)
    dataset = None
    # A name with a slash would be looked up in groups, which may be links themselves.
    if "/" not in tensor.key:
        # MdlFile has asked, but a conversion opens the file again, which may be another by then.
        _refuse_link(file, tensor.key)
        dataset = file.get(tensor.key)
    if not isinstance(dataset, h5py.Dataset):
        raise CheckpointError(f"the checkpoint {file.filename} has no data for {tensor.key}")
    if dataset.shape != tensor.shape or dataset.dtype.itemsize != storage.itemsize:
        raise CheckpointError(
            f"{tensor.key} in {file.filename} is stored as {dataset.dtype} {list(dataset.shape)}, "
            f"its description says {tensor.dtype} {list(tensor.shape)}"
        )
    return dataset


def check_file(path: Path) -> None:
    """Raise CheckpointError unless ``path`` is a complete ``.mdl`` file without pickles.

    cerebras-pytorch's own reader unpickles what the metadata names so; call this before it.
    """
    with open_complete(path) as file, _closed_on_errors(path, file):
        refused = sorted(set(stored_types(file)) - PLAIN_TYPES)
    if refused:
        raise CheckpointError(
            f"the checkpoint {path} holds objects that are not plain data, got {refused[0]}, "
            f"allowed: tensors, numbers and strings; it is not loaded, because that could run code"
        )


def stored_types(file: h5py.File) -> Iterator[str]:
    """The type of every object in the file, as its metadata names it."""
    for value in file.attrs.values():
        if isinstance(value, str | bytes):
            yield from _types_in(value)
    for name in file:
        if is_link(file, name):
            yield _LINK
        elif not isinstance(file[name], h5py.Dataset):
            yield "group"
        elif "__TYPE__" in file[name].attrs:
            yield str(file[name].attrs["__TYPE__"])


def is_link(file: h5py.File, name: str) -> bool:
    """Whether the numbers of ``name`` may come from elsewhere: any file that the user may read."""
    # By h5py's low-level calls: its objects take most of the time of opening a file.
    links, key = file.id.links, name.encode()
    if not links.exists(key) or links.get_info(key).type != h5py.h5l.TYPE_HARD:
        return bool(links.exists(key))
    entry = h5py.h5o.open(file.id, key)
    stored = entry.get_create_plist() if isinstance(entry, h5py.h5d.DatasetID) else None
    linked = stored and (stored.get_layout() == h5py.h5d.VIRTUAL or stored.get_external_count())
    return bool(linked)


def _refuse_link(file: h5py.File, name: str) -> None:
    if is_link(file, name):
        raise CheckpointError(
            f"{name} in {file.filename} is a {_LINK}, allowed: numbers in the checkpoint itself"
        )


def _types_in(text: str | bytes) -> list[str]:
    # The hook sees every JSON object as it will be read, whatever escapes its text uses.
    found: list[str] = []

    def note(content: dict[str, Any]) -> dict[str, Any]:
        if "__TYPE__" in content:
            found.append(str(content["__TYPE__"]))
        return content

    if text[:1] in ("{", "[", b"{", b"["):
        json.loads(text, object_hook=note)
    return found
