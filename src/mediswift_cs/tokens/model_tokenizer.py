"""A tokenizer that a model was trained with."""

from pathlib import Path

from tokenizers import Tokenizer

from mediswift_cs.errors import CheckpointError
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.tokens.tokenizer import fingerprint_of, load_tokenizer, vocab_size


def load_model_tokenizer(
    path: Path, trained_with: str | None, *, num_rows: int, trained: Path
) -> Tokenizer:
    """The tokenizer of a model, read as by :func:`load_tokenizer`.

    Args:
        trained_with: the fingerprint that the model keeps; None is not checked.
        num_rows: the model's vocab_size, which may be more than the tokenizer has ids.
        trained: the model, for messages.

    Raises:
        CheckpointError: the model was trained with another one, or has fewer rows than it has ids.
        DataError: as :func:`load_tokenizer`.
    """
    tokenizer = load_tokenizer(path)
    what = f"tokenizer {path} has fingerprint"
    check_trained_with(fingerprint_of(tokenizer), trained_with, what, trained)
    if vocab_size(tokenizer) > num_rows:
        raise CheckpointError(
            f"tokenizer {path} has {vocab_size(tokenizer)} ids, allowed: at most the vocab_size "
            f"{num_rows} of {trained}"
        )
    return tokenizer
