"""ModelZoo's own reader and data processor on our shards."""

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.tokens.build_shards import VAL_FRACTION, build_shards
from mediswift_cs.tokens.manifest import shard_paths
from mediswift_cs.tokens.texts import documents_source

from .conftest import texts

LENGTH = 32

pytestmark = pytest.mark.modelzoo


@pytest.fixture
def train(documents_file: Any, tokenizer_path: Path, tmp_path: Path) -> Any:
    pytest.importorskip("cerebras.modelzoo", reason="ModelZoo is not on PYTHONPATH")
    documents = [(f"d{n}", text) for n, text in enumerate(texts(300))]
    build_shards(
        documents_source([documents_file(documents)]),
        tokenizer_path,
        tmp_path / "out",
        max_sequence_length=LENGTH,
        samples_per_shard=64,
        val_fraction=VAL_FRACTION,
        overwrite=False,
    )
    return tmp_path / "out" / "train"


def ours(train: Any) -> Any:
    arrays = []
    for path in shard_paths(train):
        with h5py.File(path) as file:
            arrays.append(file["data"][:])
    return np.concatenate(arrays)


def h5_reader() -> Any:
    """ModelZoo's H5Reader, from its file: importing its package needs torchvision."""
    (folder,) = importlib.util.find_spec("cerebras.modelzoo").submodule_search_locations
    path = Path(folder) / "data" / "common" / "h5_map_dataset" / "readers.py"
    spec = importlib.util.spec_from_file_location("modelzoo_readers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.H5Reader


def test_h5_reader(train: Any) -> None:
    expected = ours(train)
    assert len(shard_paths(train)) > 2
    reader = h5_reader()(data_dirs=str(train))
    assert reader.by_sample
    assert len(reader) == len(expected)
    read = np.stack([reader[i] for i in range(len(reader))])
    np.testing.assert_array_equal(read, expected)
    # Control: the order of the shards shows.
    assert not np.array_equal(read[::-1], expected)


def test_gpt_data_processor(train: Any) -> None:
    pytest.importorskip("torchvision", reason="ModelZoo's data package imports torchvision")
    from cerebras.modelzoo.data.nlp.gpt.GptHDF5MapDataProcessor import GptHDF5MapDataProcessor

    processor = GptHDF5MapDataProcessor(
        {
            "data_processor": "GptHDF5MapDataProcessor",
            "data_dir": str(train),
            "batch_size": 4,
            "shuffle": False,
            "num_workers": 0,
        }
    )
    batch = next(iter(processor.create_dataloader()))
    expected = ours(train)[:4]
    for row, name in enumerate(("input_ids", "attention_mask", "labels")):
        np.testing.assert_array_equal(batch[name].numpy(), expected[:, row])
