"""Which records of all PubMed parts count, and whose articles are retracted."""

from pathlib import Path

import numpy as np

from mediswift_cs.corpora.latest import DELETED, KEPT, SUPERSEDED
from mediswift_cs.corpora.selection import OUTCOMES
from mediswift_cs.prepare.parse import DELETION, resolve_parts

IS_KEPT, IS_RETRACTED = OUTCOMES.index("kept"), OUTCOMES.index("retracted")


def resolve(
    tmp_path: Path, *parts: list[tuple[int, int, int]]
) -> tuple[list[list[int]], list[int]]:
    """The status of each part's documents, and the PMIDs of retracted articles."""
    events = [tmp_path / f"{number}.events.npy" for number in range(len(parts))]
    for path, part in zip(events, parts, strict=True):
        np.save(path, np.array(part, np.int32).reshape(-1, 3))
    statuses = [tmp_path / f"{number}.npy" for number in range(len(parts))]
    resolve_parts(events, statuses, tmp_path / "retracted.npy")
    return [np.load(path).tolist() for path in statuses], np.load(
        tmp_path / "retracted.npy"
    ).tolist()


def test_a_retraction_of_the_same_version_takes_the_record_back(tmp_path: Path) -> None:
    found = resolve(tmp_path, [(5, 1, IS_KEPT)], [(5, 1, IS_RETRACTED)])
    assert found == ([[SUPERSEDED], []], [5])


def test_a_retraction_of_an_older_version_does_not(tmp_path: Path) -> None:
    found = resolve(tmp_path, [(5, 2, IS_KEPT)], [(5, 1, IS_RETRACTED)])
    assert found == ([[KEPT], []], [])


def test_a_deleted_retraction_is_forgotten(tmp_path: Path) -> None:
    found = resolve(tmp_path, [(5, 1, IS_RETRACTED), (6, 1, IS_RETRACTED)], [(5, 1, DELETION)])
    assert found == ([[], []], [6])


def test_a_record_that_is_put_right_is_not_retracted(tmp_path: Path) -> None:
    found = resolve(tmp_path, [(5, 1, IS_RETRACTED)], [(5, 1, IS_KEPT)])
    assert found == ([[], [KEPT]], [])


def test_a_deletion_takes_back_what_another_part_kept(tmp_path: Path) -> None:
    found = resolve(tmp_path, [(5, 1, IS_KEPT), (6, 1, IS_KEPT)], [(5, 1, DELETION)])
    assert found == ([[DELETED, KEPT], []], [])
