"""A toy model with a soft prompt, a toy tokenizer, and prepared examples."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.params.schema import ModelParams
from mediswift_cs.tasks import hoc, pubmedqa
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

from .asker import Asker

MAX_POSITIONS = 96


@pytest.fixture(scope="session")
def toy_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [
        *(pubmedqa.answer_text(label) for label in pubmedqa.LABELS),
        *(hoc.answer_text([label]) for label in hoc.LABELS),
        "question: Does a cell divide? context: Cells of mice divide, those of rats do not.",
    ]
    # Large enough that an answer with all of HoC's labels fits into the toy model.
    tokenizer = train_tokenizer(
        texts * 3, vocab_size=600, min_frequency=2, num_texts=None, show_progress=False
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    return path


def toy_config(vocab_size: int, **changes: Any) -> ModelParams:
    return ModelParams(
        **{
            "name": "mediswift_finetuning",
            "vocab_size": vocab_size,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_heads": 4,
            "filter_size": 64,
            "max_position_embeddings": MAX_POSITIONS,
            "dropout_rate": 0.0,
            "attention_dropout_rate": 0.0,
            "soft_prompt": {"num_virtual_tokens": 3, "position": "infix"},
            **changes,
        }
    )


@pytest.fixture(scope="session")
def toy_model(toy_tokenizer: Path) -> MediSwiftFineTuningModel:
    """Weights large enough that its answers differ."""
    torch.manual_seed(0)
    vocab_size = Tokenizer.from_file(str(toy_tokenizer)).get_vocab_size()
    model = MediSwiftFineTuningModel(toy_config(vocab_size)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5).add_(0.01)
    return model


@pytest.fixture
def ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Asker:
    return Asker(capsys, monkeypatch, tmp_path)
