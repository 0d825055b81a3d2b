"""Stage ``clean``: records that count -> cleaned texts, and what duplicates are found by."""

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs.corpora.cleaning import clean_text
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.documents_file import DocumentsWriter, read_documents
from mediswift_cs.corpora.duplicates import NearDuplicates, text_hash
from mediswift_cs.corpora.latest import KEPT
from mediswift_cs.corpora.ngrams import word_hashes, words_of
from mediswift_cs.prepare.arrays import save_array
from mediswift_cs.prepare.config import CleanSettings, DedupSettings
from mediswift_cs.prepare.tasks import Result, Task, digest_of
from mediswift_cs.storage.write import atomic_file

# One row a document: hashes of its id and words, its PMID (0: none) and version.
TRAITS = np.dtype(
    [("id", np.uint64), ("text", np.uint64), ("pmid", np.int32), ("version", np.int32)]
)


def clean_part(task: Task) -> Result:
    """Write ``documents``, ``traits`` (TRAITS [n]), ``signatures`` and ``bands``.

    The last two are uint32 [n, num_perm] and uint64 [num_bands, n], empty if near duplicates are
    not looked for.
    """
    documents, traits_path, signatures_path, bands_path = task.outputs
    cleaning_settings: CleanSettings = task.settings["clean"]
    dedup: DedupSettings = task.settings["dedup"]
    counts: Counter[str] = Counter(kept=0, empty_text=0)
    changes: Counter[str] = Counter()
    rows, signatures = [], []
    near = _near_duplicates(dedup) if dedup.near else None
    with atomic_file(documents) as temporary, DocumentsWriter(temporary) as writer:
        for document in _counted_documents(task.settings["parsed"], task.settings["status"]):
            text, number = clean_text(document.text, cleaning_settings.cleaning())
            changes.update(number)
            if not text:
                counts["empty_text"] += 1
                continue
            counts["kept"] += 1
            words = words_of(text)
            rows.append(_traits(document, words))
            if near is not None:
                signatures.append(near.signature(word_hashes(words)))
            writer.write(replace(document, text=text))
    save_array(traits_path, np.array(rows, TRAITS))
    width = dedup.num_perm
    stacked = np.stack(signatures) if signatures else np.empty((0, width), np.uint32)
    save_array(signatures_path, stacked)
    no_bands = np.empty((0, 0), np.uint64)
    save_array(bands_path, no_bands if near is None else near.band_hashes(stacked))
    return {
        "counts": dict(counts),
        "changes": dict(changes),
        "content": digest_of(task.key),
    }


@lru_cache(maxsize=1)
def _near_duplicates(settings: DedupSettings) -> NearDuplicates:
    return settings.near_duplicates()


def _counted_documents(parsed: Path, status: Path | None) -> Any:
    if status is None:
        yield from read_documents(parsed)
        return
    for document, its_status in zip(read_documents(parsed), np.load(status), strict=True):
        if its_status == KEPT:
            yield document


def _traits(document: Document, words: list[str]) -> tuple[int, int, int, int]:
    return text_hash([document.id]), text_hash(words), document.pmid or 0, document.version
