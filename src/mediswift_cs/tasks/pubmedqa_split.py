"""PubMedQA's official split: read from the authors' file, or worked out from the records alone.

The authors draw it with a fixed seed, label by label: half of each label is the test set, and the
other half is dealt into ten folds, the last of which takes one record from each other fold so that
all have the same size. Drawing in the same order with the same generator gives the same PMIDs.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.read import check_keys, check_strings, read_json_object
from mediswift_cs.tasks.example import check_no_overlap

NUM_FOLDS = 10
SPLIT_FILE = "official_split_pmids.json"

# sha256 of the sorted PMIDs of the official test set, joined by newlines.
TEST_SET_SHA256 = "406e3b89eff577ed38571eca5a5819734a6f49ac0437d171b6c64e5c3cd195f8"

# The order in which the labels are drawn.
_LABELS = ("yes", "no", "maybe")


class Split(NamedTuple):
    """PMIDs of one fold, and of the test set that all folds share."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def read_split(folder: Path | None, fold: int, records: Mapping[str, Mapping[str, Any]]) -> Split:
    """The official split: from a file of PMIDs where there is one, else drawn from the records.

    Args:
        folder: may hold ``official_split_pmids.json``, with the keys ``test`` and
            ``folds.fold0.{train,dev}``.
        records: all 1,000, in the order of the official file.

    Raises:
        ConfigError: no such fold.
        DataError: the file is malformed, splits overlap, or the test set is not the official one.
    """
    if not 0 <= fold < NUM_FOLDS:
        raise ConfigError(f"fold of PubMedQA: got {fold}, allowed: 0 to {NUM_FOLDS - 1}")
    path = None if folder is None else folder / SPLIT_FILE
    if path is not None and path.is_file():
        split = _read_split_file(path, f"fold{fold}")
        check_split(split, str(path))
        return split
    folds, test = draw_split({k: r["final_decision"] for k, r in records.items()})
    train = (pmid for i, pmids in enumerate(folds) if i != fold for pmid in pmids)
    split = Split(tuple(train), tuple(folds[fold]), tuple(test))
    check_split(
        split,
        "what is drawn from these records",
        hint="; the draw depends on the records' order, which must be that of ori_pqal.json",
    )
    return split


def _read_split_file(path: Path, fold: str) -> Split:
    content = check_keys(read_json_object(path), ("folds", "test"), str(path))
    folds = check_keys(content["folds"], (fold,), f"{path}: folds")
    parts = check_keys(folds[fold], ("train", "dev"), f"{path}: {fold}")
    return Split(
        check_strings(parts["train"], f"{path}: train of {fold}"),
        check_strings(parts["dev"], f"{path}: dev of {fold}"),
        check_strings(content["test"], f"{path}: test"),
    )


def check_split(split: Split, source: str, hint: str = "") -> None:
    """Raise DataError for overlapping splits or for another test set than the official one."""
    check_no_overlap(split._asdict(), source)
    if not is_official_test_set(split.test):
        raise DataError(
            f"the test set in {source} is not PubMedQA's official one of 500 PMIDs{hint}"
        )


def is_official_test_set(pmids: Iterable[str]) -> bool:
    """Whether these are exactly the 500 PMIDs of the official test set."""
    text = "\n".join(sorted(pmids))
    return hashlib.sha256(text.encode("ascii", "replace")).hexdigest() == TEST_SET_SHA256


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
