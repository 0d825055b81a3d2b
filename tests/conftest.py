"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Small models are slowed down by threads; and a run must not start pytest's process again to set
# the allocator.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MEDISWIFT_DEFAULT_ALLOCATOR"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data; the tests that need it skip loudly without it."""
    given = os.environ.get("MEDISWIFT_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real test data not found at {folder}: set MEDISWIFT_TEST_DATA to its folder")
    return folder
