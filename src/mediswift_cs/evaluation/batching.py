"""Batches of prompts of similar length."""

from collections.abc import Iterator, Sequence

from mediswift_cs.errors import DataError
from mediswift_cs.progress import progress

# Padded tokens in a batch: large enough to keep the cores busy, small enough for any memory.
MAX_BATCH_TOKENS = 4096


def batches_by_length(
    lengths: Sequence[int], max_batch_tokens: int, title: str = "score"
) -> Iterator[list[int]]:
    """Numbers of the items of each batch, the longest items first, with a progress bar.

    A batch has at most ``max_batch_tokens`` tokens, padding included, and at least one item.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    with progress(title, "items", total=len(order)) as bar:
        start = 0
        while start < len(order):
            size = max(1, max_batch_tokens // max(1, lengths[order[start]]))
            batch = order[start : start + size]
            yield batch
            bar.update(len(batch))
            start += size


def check_lengths(
    lengths: Sequence[int], names: Sequence[str], max_position_embeddings: int
) -> None:
    """Raise DataError where a prompt with its answer has more tokens than the model positions."""
    for length, name in zip(lengths, names, strict=True):
        if length > max_position_embeddings:
            raise DataError(
                f"{name} with its answer has {length} tokens, allowed: at most "
                f"max_position_embeddings {max_position_embeddings}; prepare the data with a "
                "smaller --max-sequence-length"
            )
