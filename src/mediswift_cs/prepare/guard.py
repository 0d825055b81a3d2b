"""Stage ``guard``: a part's documents that are left, without near copies of benchmark texts."""

import hashlib
import json
from collections import Counter
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
from mediswift_cs.prepare.statistics import Statistics
from mediswift_cs.prepare.tasks import Result, Task, digest_of
from mediswift_cs.storage.write import atomic_file


def guard_part(task: Task) -> Result:
    """Write the final documents of a part, and their manifest beside them.

    The result has ``benchmark_copies``: the ids found, whether they are dropped or only reported.
    """
    (output,) = task.outputs
    settings: GuardSettings = task.settings["guard"]
    cleaned: Path = task.settings["cleaned"]
    statuses = np.load(task.settings["status"])
    overlaps = _overlaps(settings) if settings.texts else None
    statistics, found = Statistics(), []
    counts: Counter[str] = Counter(kept=0, benchmark_text=0)
    with atomic_file(output) as temporary:
        with DocumentsWriter(temporary) as writer:
            for number, (line, status) in enumerate(
                zip(read_lines(cleaned), statuses.tolist(), strict=True), start=1
            ):
                if status:
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
        with temporary.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        num_bytes = temporary.stat().st_size
    with atomic_file(manifest_path(output)) as temporary:
        temporary.write_text(_manifest(counts, task.settings["files"]), encoding="utf-8")
    return {
        "counts": dict(counts),
        "benchmark_copies": found,
        "statistics": statistics.as_dict(),
        "entry": {"path": output.name, "bytes": num_bytes, "md5": md5},
        "content": digest_of(task.key),
    }


@lru_cache(maxsize=1)
def _overlaps(settings: GuardSettings) -> Overlaps:
    return benchmark_overlaps(settings)


def _manifest(counts: Counter[str], files: list[dict[str, Any]]) -> str:
    content = {"sources": files, "counts": dict(counts)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
