"""Random access to the samples of many HDF5 shards."""

import bisect
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from mediswift_cs.errors import DataError
from mediswift_cs.tokens.hdf5 import DATASET, read_shard_info

# Enough for a shuffled run to stay fast, few enough for any limit on open files.
NUM_OPEN_SHARDS = 64

FEATURES = ("input_ids", "attention_mask", "labels")


class HDF5Dataset(Dataset[dict[str, npt.NDArray[np.int32]]]):
    """Samples of shards with a dataset ``data`` of shape [samples, 3, length].

    Item i is a dictionary of int32 vectors [length]: ``input_ids``, ``attention_mask`` (the loss
    mask, under the name that ModelZoo's models read) and ``labels``. Samples count in the order of
    the shards' paths; only the shards in use are open.
    """

    def __init__(self, paths: list[Path]) -> None:
        if not paths:
            raise DataError("no shard to read: got an empty list of *.h5 files")
        self.paths = paths
        shards = [read_shard_info(path) for path in paths]
        self.length = shards[0].max_sequence_length
        for shard in shards:
            if shard.max_sequence_length != self.length:
                raise DataError(
                    f"shards of one dataset must have one sequence length, got {self.length} in "
                    f"{paths[0]} and {shard.max_sequence_length} in {shard.path}"
                )
        self._ends = list(accumulate(shard.num_samples for shard in shards))
        self._open: OrderedDict[int, h5py.File] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1]

    def __getstate__(self) -> dict[str, Any]:
        # Open files do not travel to worker processes.
        return {**self.__dict__, "_open": OrderedDict()}

    def _shard(self, index: int) -> h5py.File:
        if index in self._open:
            self._open.move_to_end(index)
        else:
            self._open[index] = h5py.File(self.paths[index], "r")
            if len(self._open) > NUM_OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()
        return self._open[index]

    def __getitem__(self, index: int) -> dict[str, npt.NDArray[np.int32]]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = bisect.bisect_right(self._ends, index)
        start = self._ends[shard - 1] if shard else 0
        rows = self._shard(shard)[DATASET][index - start].astype(np.int32, copy=False)
        return dict(zip(FEATURES, rows, strict=True))

    def padding_sample(self) -> dict[str, npt.NDArray[np.int32]]:
        """A sample that no loss counts, for filling up the last batch."""
        return {feature: np.zeros(self.length, dtype=np.int32) for feature in FEATURES}
