"""PubMedQA's official split, worked out from the labelled records alone.

The authors draw it with a fixed seed, label by label: half of each label is the test set, and the
other half is dealt into ten folds, the last of which takes one record from each other fold so that
all have the same size. Drawing in the same order with the same generator gives the same PMIDs.
"""

import math
import random
from collections.abc import Mapping

from mediswift_cs.errors import DataError

NUM_FOLDS = 10
# The order in which the labels are drawn.
_LABELS = ("yes", "no", "maybe")


def draw_split(labels: Mapping[str, str]) -> tuple[list[list[str]], list[str]]:
    """The PMIDs of the ten folds' dev sets, and of the test set.

    Args:
        labels: the label of each PMID, in the order of the official file: the draw depends on it.

    Raises:
        DataError: too few records to deal out.
    """
    if len(labels) < 2 * NUM_FOLDS * len(_LABELS):
        raise DataError(f"PubMedQA's split needs its 1,000 records, got {len(labels)}")
    generator = random.Random(0)
    first_half, test = _deal(labels, 2, generator)
    rest = {pmid: labels[pmid] for pmid in first_half}
    return _deal(rest, NUM_FOLDS, generator), test


def _deal(labels: Mapping[str, str], num_parts: int, generator: random.Random) -> list[list[str]]:
    """Shuffle the PMIDs of each label and cut them into parts of nearly equal size."""
    parts: list[list[str]] = [[] for _ in range(num_parts)]
    for label in _LABELS:
        pmids = [pmid for pmid, found in labels.items() if found == label]
        generator.shuffle(pmids)
        size = math.ceil(len(pmids) / num_parts)
        for number, part in enumerate(parts):
            is_last = number == num_parts - 1
            part += pmids[number * size :] if is_last else pmids[number * size :][:size]
    if len(parts[-1]) != len(parts[0]):
        for part in parts[:-1]:
            moved = generator.choice(part)
            part.remove(moved)
            parts[-1].append(moved)
    return parts
