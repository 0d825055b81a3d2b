"""Which shards a data set keeps open."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.data import hdf5_dataset
from mediswift_cs.data.hdf5_dataset import HDF5Dataset


def test_the_shard_that_was_read_longest_ago_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"shard_{number}.h5" for number in range(3)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file["data"] = np.full((1, 3, 4), number, np.int32)
    data = HDF5Dataset(paths)
    opened: list[Any] = []
    open_file = h5py.File

    def counted(path: Path, mode: str) -> Any:
        opened.append(open_file(path, mode))
        return opened[-1]

    monkeypatch.setattr(hdf5_dataset, "NUM_OPEN_SHARDS", 2)
    monkeypatch.setattr(h5py, "File", counted)
    for index in (0, 1, 0, 2, 0):
        assert (data[index]["input_ids"] == index).all()
    # 0 was read after 1, so it is 1 that makes room for 2, and 0 is still open.
    assert len(opened) == 3
    assert [bool(file) for file in opened] == [True, False, True]
    assert (data[1]["input_ids"] == 1).all()
    assert [bool(file) for file in opened] == [True, False, False, True]
