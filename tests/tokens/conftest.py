import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

WORDS = ("cell", "line", "protein", "gene", "of", "the", "in", "was", "and", "mice", "study")
WORDS += ("effect", "dose", "acid", "\u03b2-blocker", "5", "mg")


def texts(num_documents: Any, seed: int = 0) -> Any:
    """Random sentences of real-looking words, a different one for each document."""
    random = np.random.default_rng(seed)
    return [
        f"{n} " + " ".join(random.choice(WORDS, random.integers(3, 60)))
        for n in range(num_documents)
    ]


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    save_tokenizer(
        train_tokenizer(
            texts(200, seed=1), vocab_size=320, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path


@pytest.fixture
def documents_file(tmp_path: Path) -> Any:
    """Writes documents as plain JSON lines and returns the path."""

    def write(documents: Any, name: str = "docs.jsonl") -> Any:
        path = tmp_path / name
        lines = [json.dumps({"id": id_, "text": text}) for id_, text in documents]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
