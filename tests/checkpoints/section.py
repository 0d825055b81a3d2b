"""The model of the small checkpoints, as a params file has it."""

from typing import Any

VOCAB_SIZE = 320
SECTION: dict[str, Any] = {
    "name": "mediswift",
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 4,
    "filter_size": 96,
    "max_position_embeddings": 160,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
