"""``trainer.init.model.soft_prompt``: trainable vectors in the sequence (Lester et al., 2021).

Names are PEFT's (PromptTuningConfig) where it has them; ``position`` is this package's own.
"""

from typing import Literal

from mediswift_cs.params.section import PositiveCount, Section


class SoftPromptParams(Section):
    """The soft prompt. Virtual token i has the id vocab_size + i in the batches."""

    num_virtual_tokens: PositiveCount
    position: Literal["prefix", "infix"] = "infix"
    """Before the source, or between source and answer (BioGPT); the batches place it."""
    init: Literal["random", "vocab", "text"] = "random"
    """Like the word embeddings at their initialisation, rows of random words of the loaded
    checkpoint, or rows of the words of init_text."""
    init_text: str | None = None
    """With init text only: repeated or cut to num_virtual_tokens tokens."""
    tokenizer_file: str | None = None
    """With init text only: the tokenizer.json that splits init_text."""
