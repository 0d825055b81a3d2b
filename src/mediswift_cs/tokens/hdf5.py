"""Shards on disk: HDF5 in the layout of ModelZoo's ``GptHDF5MapDataProcessor`` ("sample" format).

Each file has one int32 data set ``data`` of shape [num_samples, 3, max_sequence_length] with the
rows input_ids, loss_mask and labels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.sizes import MAX_SEQUENCE_LENGTH
from mediswift_cs.storage.read import reason_of

# The shards are int32, and numpy would wrap a larger id around without a word.
MAX_TOKEN_ID = 2**31 - 1

DATASET = "data"
ROWS = ("input_ids", "loss_mask", "labels")

Samples = npt.NDArray[np.int32]


def check_sequence_length(max_sequence_length: int) -> None:
    """Raise ConfigError unless 1 <= max_sequence_length <= MAX_SEQUENCE_LENGTH."""
    if not 1 <= max_sequence_length <= MAX_SEQUENCE_LENGTH:
        raise ConfigError(
            f"max_sequence_length: got {max_sequence_length}, allowed: 1 to {MAX_SEQUENCE_LENGTH}"
        )


class ShardWriter:
    """Writes samples into ``folder/shard_00000.h5``, ``shard_00001.h5``, ...

    The same samples give byte-identical files: no time stamps are stored, and how the samples were
    cut into blocks does not show.

    Args:
        folder: an existing folder.
        samples_per_shard: every file but the last has exactly this number of samples.
        attributes: HDF5 attributes of every file, beside n_examples and max_token_id.
    """

    # Samples gathered before they are written: few large writes, and a bounded buffer.
    _BLOCK = 64

    def __init__(
        self,
        folder: Path,
        *,
        max_sequence_length: int,
        samples_per_shard: int,
        attributes: dict[str, int | str],
    ) -> None:
        assert max_sequence_length > 0
        assert samples_per_shard > 0
        self.paths: list[Path] = []
        self.num_samples: list[int] = []
        self.max_token_id = -1
        self._folder = folder
        self._length = max_sequence_length
        self._samples_per_shard = samples_per_shard
        self._attributes = attributes
        self._file: Any = None
        self._dataset: Any = None
        self._shard_max_id = -1
        self._block: Samples = np.empty((self._BLOCK, len(ROWS), self._length), np.int32)
        self._filled = 0

    def write(self, samples: Samples) -> None:
        """Append ``samples``, int32 [n, 3, max_sequence_length].

        Raises:
            DataError: an id is negative, as one that does not fit becomes in int32.
        """
        assert samples.shape[1:] == self._block.shape[1:]
        assert samples.dtype == np.int32
        smallest = int(samples[:, ::2].min(initial=0))
        if smallest < 0:
            raise DataError(
                f"token ids: got {smallest}, allowed: 0 to {MAX_TOKEN_ID}, in {self._folder}"
            )
        while len(samples):
            in_shard = self.num_samples[-1] + self._filled if self._file is not None else 0
            room = min(self._BLOCK - self._filled, self._samples_per_shard - in_shard)
            if self._file is None:
                self._open_shard()
            part = samples[:room]
            self._block[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            samples = samples[len(part) :]
            if self._filled == self._BLOCK:
                self._flush()
            if self.num_samples[-1] + self._filled == self._samples_per_shard:
                self.close()

    def _open_shard(self) -> None:
        path = self._folder / f"shard_{len(self.paths):05d}.h5"
        self._file = _create_file(path)
        # Kept open: where HDF5 puts things depends on when a data set is closed.
        self._dataset = self._file.create_dataset(
            DATASET,
            shape=(0, len(ROWS), self._length),
            maxshape=(None, len(ROWS), self._length),
            dtype="<i4",
            # One sample a chunk: a shuffled read touches nothing else.
            chunks=(1, len(ROWS), self._length),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            track_times=False,
        )
        self.paths.append(path)
        self.num_samples.append(0)
        self._shard_max_id = -1

    def _flush(self) -> None:
        if not self._filled:
            return
        block = self._block[: self._filled]
        start = self.num_samples[-1]
        self._dataset.resize(start + len(block), axis=0)
        self._dataset[start:] = block
        self.num_samples[-1] = start + len(block)
        # The labels hold every id but the first of the stream, the inputs every id but the last.
        self._shard_max_id = max(self._shard_max_id, int(block[:, 0].max()), int(block[:, 2].max()))
        self._filled = 0

    def close(self) -> None:
        """Write what is left and close the open file, if any; may be called again."""
        if self._file is None:
            return
        self._flush()
        self.max_token_id = max(self.max_token_id, self._shard_max_id)
        totals = {"n_examples": self.num_samples[-1], "max_token_id": self._shard_max_id}
        for name, value in sorted({**self._attributes, **totals}.items()):
            self._file.attrs[name] = value
        self._file.flush()
        self._file.close()
        self._file = self._dataset = None


def _create_file(path: Path) -> Any:
    """A new file whose root group has no time stamps, which h5py.File cannot ask for."""
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return h5py.File(h5py.h5f.create(bytes(path), h5py.h5f.ACC_EXCL, fcpl=creation, fapl=access))


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """What one shard says of itself; None is not known in files of ModelZoo's own tools.

    Attributes:
        prompt: of task examples, vocab_size, num_virtual_tokens and position: how they place a soft
            prompt; None in other shards.
    """

    path: Path
    num_samples: int
    max_sequence_length: int
    tokenizer_sha256: str | None
    vocab_size: int | None
    max_token_id: int | None
    prompt: dict[str, Any] | None


def read_shard_info(path: Path) -> ShardInfo:
    """Look at a shard without reading its samples.

    Raises:
        DataError: not an HDF5 file, or ``data`` is missing or has another shape or type.
    """
    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(DATASET)
            if not isinstance(dataset, h5py.Dataset):
                raise DataError(f"{path} has no data set named {DATASET!r}")
            if dataset.ndim != 3 or dataset.shape[1] != len(ROWS) or dataset.dtype.kind not in "iu":
                raise DataError(
                    f"{DATASET!r} of {path}: got {dataset.dtype} {list(dataset.shape)}, allowed: "
                    f"integers [samples, {len(ROWS)}, length] (rows {', '.join(ROWS)})"
                )
            sha256, position = map(file.attrs.get, ("tokenizer_sha256", "soft_prompt_position"))
            vocab_size = whole_attribute(file, "vocab_size")
            prompt = {
                "vocab_size": vocab_size,
                "num_virtual_tokens": whole_attribute(file, "num_virtual_tokens"),
                "position": None if position is None else str(position),
            }
            return ShardInfo(
                path=path,
                num_samples=int(dataset.shape[0]),
                max_sequence_length=int(dataset.shape[2]),
                tokenizer_sha256=None if sha256 is None else str(sha256),
                vocab_size=vocab_size,
                max_token_id=whole_attribute(file, "max_token_id"),
                prompt=None if prompt["num_virtual_tokens"] is None else prompt,
            )
    except OSError as error:
        raise DataError(f"{path} is not a readable HDF5 file: {reason_of(error)}") from error


def whole_attribute(file: h5py.File, name: str) -> int | None:
    """A number that a shard says of its samples, or None; DataError for what is no number."""
    value = file.attrs.get(name)
    if value is not None and not isinstance(value, int | np.integer):
        raise DataError(f"{name} of {file.filename}: got {value!r:.80}, allowed: a whole number")
    return None if value is None else int(value)
