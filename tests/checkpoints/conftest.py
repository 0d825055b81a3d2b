"""Fixtures: small checkpoints and a tokenizer."""

from pathlib import Path

import pytest

from mediswift_cs.checkpoints.sample_text import SAMPLE_TEXT
from mediswift_cs.tokens.tokenizer import fingerprint, save_tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE with fewer ids than the models have rows."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    save_tokenizer(
        train_tokenizer(
            [SAMPLE_TEXT], vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path


@pytest.fixture(scope="session")
def tokenizer_sha256(tokenizer_file: Path) -> str:
    return fingerprint(tokenizer_file)


def small_checkpoint(path: Path, *, has_masks: bool) -> Path:
    """The tests of it skip where torch, which draws its numbers, is not installed."""
    pytest.importorskip("torch", reason="it draws the numbers of the small checkpoints")
    from .small_checkpoints import add_masks, build_decoder, save, state_of

    state = state_of(build_decoder())
    if has_masks:
        add_masks(state, fold=True)
    return save(path, state)


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A dense checkpoint."""
    return small_checkpoint(tmp_path / "dense.mdl", has_masks=False)


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A 75 % sparse checkpoint with its zeros in the weights."""
    return small_checkpoint(tmp_path / "sparse.mdl", has_masks=True)
