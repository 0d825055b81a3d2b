"""Whether two things were made with one tokenizer, by its fingerprint."""

from pathlib import Path

from mediswift_cs.errors import CheckpointError


def is_other_tokenizer(found: str | None, expected: str | None) -> bool:
    """Whether two fingerprints are those of two tokenizers; None is not known and may be any."""
    return None not in (found, expected) and found != expected


def check_trained_with(found: str | None, expected: str | None, what: str, trained: Path) -> None:
    """See that a checkpoint was trained with a tokenizer.

    Args:
        found: the fingerprint of the tokenizer that is used now; None is not checked.
        expected: the one that the checkpoint keeps; None is not checked.
        what: what is said before ``found``, such as "the data were made with tokenizer".
        trained: the checkpoint.

    Raises:
        CheckpointError: it was another one.
    """
    if is_other_tokenizer(found, expected):
        raise CheckpointError(
            f"{what} {found}, allowed: {expected}, the one that {trained} was trained with"
        )
