"""Stage ``parse``, second step: which of the records of all PubMed parts count."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mediswift_cs.corpora.latest import KEPT, SUPERSEDED, LatestRecords
from mediswift_cs.corpora.selection import OUTCOMES
from mediswift_cs.prepare.parse import DELETION
from mediswift_cs.prepare.tasks import Result, save_array

_KEPT = OUTCOMES.index("kept")
_RETRACTED = OUTCOMES.index("retracted")


class ResolveResult(Result):
    """``deletions``: PMIDs listed in DeleteCitation, and how many of them had been read before."""

    deletions: dict[str, int]


def resolve_parts(
    events: Sequence[Path], statuses: Sequence[Path], retracted_output: Path
) -> ResolveResult:
    """Decide which record of each PMID counts.

    Args:
        events: the parts' events in the order in which PubMed's files apply.
        statuses: where to write, for each part, uint8 [num_documents]: KEPT, SUPERSEDED or DELETED.
        retracted_output: where to write the PMIDs (int32) whose record that counts is of a
            retracted article.
    """
    latest, counts = LatestRecords(), Counter[str]()
    deletions = Counter(listed=0, found=0)
    retracted: set[int] = set()
    # For each document of a part its line in `latest`, -1 if it was superseded beforehand.
    lines: list[np.typing.NDArray[np.int64]] = []
    for path in events:
        of_part: list[int] = []
        for pmid, version, outcome in np.load(path).tolist():
            if outcome == DELETION:
                deletions["listed"] += 1
                if latest.delete(pmid, version):
                    deletions["found"] += 1
                    retracted.discard(pmid)
                continue
            is_superseded = latest.is_superseded(pmid, version)
            if is_superseded:
                counts[OUTCOMES[outcome]] -= 1
                counts["superseded"] += 1
            else:
                latest.add(pmid, version, written=outcome == _KEPT)
                (retracted.add if outcome == _RETRACTED else retracted.discard)(pmid)
            if outcome == _KEPT:
                of_part.append(-1 if is_superseded else len(latest.status) - 1)
        lines.append(np.array(of_part, np.int64))
    for path, of_part_lines in zip(statuses, lines, strict=True):
        save_array(path, _status(latest, of_part_lines, counts))
    save_array(retracted_output, np.array(sorted(retracted), np.int32))
    return {"counts": dict(counts), "deletions": dict(deletions)}


def _status(
    latest: LatestRecords, lines: "np.typing.NDArray[np.int64]", counts: Counter[str]
) -> "np.typing.NDArray[np.uint8]":
    status = np.full(len(lines), SUPERSEDED, np.uint8)
    was_added = lines >= 0
    status[was_added] = np.frombuffer(bytes(latest.status), np.uint8)[lines[was_added]]
    later = np.bincount(status[was_added], minlength=3)
    counts["kept"] -= int(later[1] + later[2])
    counts["superseded"] += int(later[1])
    counts["deleted"] += int(later[2])
    assert later[KEPT] == (status == KEPT).sum()
    return status
