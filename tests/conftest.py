"""Fixtures shared by all tests."""

import ast
import copy
import logging
import os
import signal
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediswift_cs.corpora.sample import (
    BASELINE,
    UPDATE,
    SampleNotFetchedError,
    download_sample,
)
from mediswift_cs.tokens.hdf5 import ShardWriter

# Small models are slowed down by threads; and a run must not start pytest's process again to set
# the allocator.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MEDISWIFT_DEFAULT_ALLOCATOR"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# Shells let what they start in the background ignore Ctrl-C, and so would every process that a test
# starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

NO_CEREBRAS = "needs cerebras-pytorch, which Python 3.11 alone has"
REPOSITORY = Path(__file__).resolve().parents[1]

# Packages that not every tested environment has, with our modules that import them. A test file
# that imports one of these at its top, or a helper that does, is left out where the package is
# absent, and said so.
OPTIONAL = {
    "torch": ("model", "data", "training", "csx", "evaluation", "modelzoo", "checkpoints.verify"),
    "transformers": (),
    "cerebras": ("csx", "data.cluster", "training.hosts.cerebras"),
    "datasets": (),
}
ABSENT = [package for package in OPTIONAL if find_spec(package) is None]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body if path.is_file() else ():
        if isinstance(node, ast.Import):
            yield from (f"{alias.name}." for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield from _imported(path.parents[node.level - 1] / f"{node.module}.py")
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}." for alias in node.names)


def _lacks(path: Path) -> str | None:
    """The package that a test file cannot be imported without, and that is not there."""
    for package in ABSENT:
        roots = (f"{package}.", *(f"mediswift_cs.{unit}." for unit in OPTIONAL[package]))
        if any(name.startswith(roots) for name in _imported(path)):
            return package
    return None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Whether a file cannot be run here; None: as pytest thinks."""
    is_test = collection_path.match("test_*.py")
    return True if is_test and _lacks(collection_path) else None


def pytest_report_header() -> list[str]:
    """Say what is left out, where the environment is one without some packages."""
    files = {path: _lacks(path) for path in sorted((REPOSITORY / "tests").rglob("test_*.py"))}
    return [
        f"NOT RUN without {package}: {path.relative_to(REPOSITORY)}"
        for path, package in files.items()
        if package
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that are marked with cerebras-pytorch, or take it as their engine."""
    for item in items if "cerebras" in ABSENT else ():
        call = getattr(item, "callspec", None)
        values = [v for v in call.params.values() if isinstance(v, str)] if call else []
        if item.get_closest_marker("cerebras") or "cerebras" in values:
            item.add_marker(pytest.mark.skip(reason=NO_CEREBRAS))


def names_in(folder: Path) -> set[str]:
    """What lies in the repository and would be committed with it, by its .gitignore."""
    ignored = folder / ".gitignore"
    patterns = ignored.read_text().replace("/", "").split() if ignored.is_file() else []
    return {
        path.name
        for path in folder.iterdir()
        if not any(fnmatch(path.name, pattern) for pattern in patterns)
    }


@pytest.fixture(autouse=True)
def _nothing_is_left_in_the_repository() -> Iterator[None]:
    """cerebras-pytorch writes ``executors`` into the working folder where it is told no other."""
    before = names_in(REPOSITORY)
    yield
    assert sorted(names_in(REPOSITORY) - before) == []


@pytest.fixture(autouse=True)
def _fresh_logger() -> None:
    """What a run in this process did to the package's logger is undone before each test."""
    logger = logging.getLogger("mediswift_cs")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data; the tests that need it skip loudly without it."""
    given = os.environ.get("MEDISWIFT_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real test data not found at {folder}: set MEDISWIFT_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def sample_files() -> dict[str, Path]:
    """The two large real files, fetched once; the tests that need them skip loudly without.

    Only where they cannot be fetched: a file with another sum is a failure.
    """
    try:
        return {name: download_sample(name=name) for name in (BASELINE, UPDATE)}
    except SampleNotFetchedError as error:
        pytest.skip(f"the sample PubMed files cannot be had: {error}")


# A toy run: data that can be learned, params that train in seconds.
LENGTH = 16
VOCAB_SIZE = 64


def write_toy_shards(folder: Path, num_samples: int, seed: int) -> Path:
    """Sequences in which each token follows from the one before it."""
    folder.mkdir(parents=True)
    first = np.random.default_rng(seed).integers(0, VOCAB_SIZE, size=(num_samples, 1))
    stream = ((first + 3 * np.arange(LENGTH + 1)) % VOCAB_SIZE).astype(np.int32)
    samples = np.stack([stream[:, :-1], np.ones_like(stream[:, 1:]), stream[:, 1:]], axis=1)
    writer = ShardWriter(
        folder,
        max_sequence_length=LENGTH,
        samples_per_shard=32,
        attributes={"tokenizer_sha256": "a" * 64, "vocab_size": VOCAB_SIZE},
    )
    writer.write(samples)
    writer.close()
    return folder


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train/ (100 samples) and val/ (21 samples)."""
    root = tmp_path_factory.mktemp("toy_data")
    write_toy_shards(root / "train", 100, seed=0)
    write_toy_shards(root / "val", 21, seed=1)
    return root


TOY_MODEL = {
    "name": "mediswift",
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 2,
    "filter_size": 64,
    "max_position_embeddings": LENGTH,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
TOY_SPARSITY = {
    "sparsity": 0.75,
    "param_filter": [
        "*proj_[qkv]_dense_layer.weight",
        "*proj_output_dense_layer.weight",
        "*linear_layer.weight",
    ],
}


def toy_params(toy_data: Path) -> dict[str, Any]:
    """A params file as a dictionary: 75 % sparse, 12 steps, evaluation and checkpoint each 6."""
    loader = {"data_processor": "MediSwiftPretrainingDataProcessor", "batch_size": 8}
    shuffled = {"data_dir": str(toy_data / "train"), "shuffle": True, "shuffle_seed": 3}
    val_loader = {**loader, "data_dir": str(toy_data / "val"), "drop_last": False}
    warmup = {"initial_learning_rate": 0.0, "end_learning_rate": 0.01, "total_iters": 3}
    decay = {"initial_learning_rate": 0.01, "end_learning_rate": 0.001, "total_iters": 9}
    parts = [{"LinearLR": warmup}, {"CosineDecayLR": decay}]
    init = {
        "backend": {"backend_type": "CPU"},
        "model": dict(TOY_MODEL),
        "optimizer": {"AdamW": {"betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}},
        "schedulers": [{"SequentialLR": {"schedulers": parts}}],
        "precision": {"enabled": False, "max_gradient_norm": 1.0},
        "sparsity": copy.deepcopy(TOY_SPARSITY),
        "loop": {"max_steps": 12, "eval_frequency": 6},
        "checkpoint": {"steps": 6},
        "logging": {"log_steps": 3},
        "seed": 1,
    }
    return {
        "trainer": {
            "init": init,
            "fit": {"train_dataloader": {**loader, **shuffled}, "val_dataloader": val_loader},
            "validate": {"val_dataloader": val_loader},
            "validate_all": {"val_dataloaders": val_loader},
        }
    }


@pytest.fixture
def toy_raw(toy_data: Path) -> dict[str, Any]:
    """The toy params, for a test to change."""
    return toy_params(toy_data)


@pytest.fixture(scope="session")
def make_toy_raw(toy_data: Path) -> Callable[[], dict[str, Any]]:
    """The toy params for fixtures that several tests share."""
    return lambda: toy_params(toy_data)


@pytest.fixture(scope="session")
def cpu_backend(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The process's one backend."""
    if "cerebras" in ABSENT:
        pytest.skip(NO_CEREBRAS)
    import cerebras.pytorch as cstorch

    current = cstorch.current_backend(raise_exception=False, raise_warning=False)
    return current or cstorch.backend("CPU", artifact_dir=str(tmp_path_factory.mktemp("artifacts")))
