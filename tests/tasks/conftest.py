"""Fixtures shared by the tests of tasks."""

from pathlib import Path

import pytest

from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

from .questions import example


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [example(str(i)).source + example(str(i)).target for i in range(30)]
    save_tokenizer(
        train_tokenizer(
            texts, vocab_size=330, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path
