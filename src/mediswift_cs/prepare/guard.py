"""Stage ``guard``: a part's documents that are left, without near copies of benchmark texts."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs.corpora.blocklist import Overlaps
from mediswift_cs.corpora.documents_file import (
    DocumentsWriter,
    manifest_path,
    parse_document,
    read_lines,
)
from mediswift_cs.corpora.ngrams import word_hashes, words_of
from mediswift_cs.prepare.config import GuardSettings
from mediswift_cs.prepare.given_files import benchmark_overlaps
from mediswift_cs.prepare.parse import FileEntry
from mediswift_cs.prepare.statistics import Statistics
from mediswift_cs.prepare.tasks import Result
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.storage.write import atomic_file, write_json


class GuardResult(Result):
    """What is left of a part.

    ``benchmark_copies`` are the ids found, whether they are dropped or only reported; ``entry`` is
    the file of the documents.
    """

    benchmark_copies: list[str]
    statistics: dict[str, Any]
    entry: FileEntry


def guard_part(
    cleaned: Path,
    status: Path,
    output: Path,
    *,
    settings: GuardSettings,
    files: Sequence[FileEntry],
) -> GuardResult:
    """Write the final documents of a part, and beside them their manifest.

    Args:
        cleaned: the part's documents, of which ``status`` (uint8 [num_documents]) is 0 for those
            that stay.
        files: the input files of the part, for the manifest.
    """
    statuses = np.load(status)
    overlaps = _overlaps(settings) if settings.texts else None
    statistics, found = Statistics(), []
    counts: Counter[str] = Counter(kept=0, benchmark_text=0)
    with atomic_file(output) as temporary:
        with DocumentsWriter(temporary) as writer:
            for number, (line, is_dropped) in enumerate(
                zip(read_lines(cleaned), statuses.tolist(), strict=True), start=1
            ):
                if is_dropped:
                    continue
                document = parse_document(line, number, cleaned)
                if overlaps and overlaps.is_near_copy(word_hashes(words_of(document.text))):
                    found.append(document.id)
                    if settings.near_copies == "drop":
                        counts["benchmark_text"] += 1
                        continue
                counts["kept"] += 1
                statistics.add(document)
                writer.write_line(line)
        entry = FileEntry(path=output.name, bytes=temporary.stat().st_size, md5=md5_of(temporary))
    manifest = {"sources": list(files), "counts": dict(counts)}
    write_json(manifest_path(output), manifest, ensure_ascii=False)
    return {
        "counts": dict(counts),
        "benchmark_copies": found,
        "statistics": statistics.as_dict(),
        "entry": entry,
    }


@lru_cache(maxsize=1)
def _overlaps(settings: GuardSettings) -> Overlaps:
    return benchmark_overlaps(settings)
