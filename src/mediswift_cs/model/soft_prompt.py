"""Soft prompts (Lester et al., 2021): trainable embeddings chosen by ids after the vocabulary.

Placement is data: wherever a batch has the id vocab_size + i, row i of the prompt is the input.
Shapes stay static, as a CS-2 needs, and the output head never grows.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.decoder import SoftPromptParams
from mediswift_cs.tokens.tokenizer import load_tokenizer


class SoftPrompt(nn.Module):
    """The rows of the virtual tokens: ``weight`` [num_virtual_tokens, hidden_size]."""

    def __init__(self, config: SoftPromptParams, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.weight = nn.Parameter(torch.empty(config.num_virtual_tokens, hidden_size))
        # cstorch.sparse's default filter takes every weight that is not marked.
        self.weight.requires_dense = True  # type: ignore[attr-defined]

    def forward(self, input_ids: Tensor, word_embeddings: nn.Embedding) -> Tensor:
        """Embed words and virtual tokens.

        input_ids: int32 [batch, length], below vocab_size + num_virtual_tokens; returns
        [batch, length, hidden_size].
        """
        is_virtual = input_ids >= self.vocab_size
        # Both look-ups see legal ids everywhere; where picks the one that counts.
        words = word_embeddings(torch.clamp(input_ids, max=self.vocab_size - 1))
        rows = torch.clamp(
            input_ids - self.vocab_size, min=0, max=self.config.num_virtual_tokens - 1
        )
        virtual = functional.embedding(rows, self.weight)
        return torch.where(is_virtual[..., None], virtual.to(words.dtype), words)


def initial_rows(config: SoftPromptParams, word_embeddings: Tensor) -> Tensor | None:
    """Rows [num_virtual_tokens, hidden_size] to start from, of a loaded model's embeddings.

    Returns None for ``init: random``, which keeps what construction drew.

    Args:
        word_embeddings: [vocab_size, hidden_size].

    Raises:
        ConfigError: ``init_text`` has no token, or one outside the vocabulary.
    """
    if config.init == "random":
        return None
    if config.init == "vocab":
        ids = torch.randint(len(word_embeddings), (config.num_virtual_tokens,))
    else:
        ids = torch.tensor(text_ids(config, len(word_embeddings)))
    return word_embeddings[ids].detach().clone()


def text_ids(config: SoftPromptParams, vocab_size: int) -> list[int]:
    """The ids of ``init_text``, repeated or cut to num_virtual_tokens, as PEFT does."""
    assert config.init_text is not None
    assert config.tokenizer_file is not None
    tokenizer = load_tokenizer(Path(config.tokenizer_file))
    ids: list[int] = tokenizer.encode(config.init_text, add_special_tokens=False).ids
    where = f"trainer.init.model.soft_prompt.init_text: got {config.init_text!r}"
    if not ids:
        raise ConfigError(f"{where}, which has no token, allowed: a text with at least one")
    if max(ids) >= vocab_size:
        raise ConfigError(
            f"{where}, whose token {max(ids)} is outside the model's vocabulary of {vocab_size}: "
            f"{config.tokenizer_file} is not the model's tokenizer"
        )
    repeats = -(-config.num_virtual_tokens // len(ids))
    return (ids * repeats)[: config.num_virtual_tokens]
