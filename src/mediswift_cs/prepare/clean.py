"""Stage ``clean``: records that count -> cleaned texts, and what duplicates are found by."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mediswift_cs.corpora.cleaning import Cleaning, clean_text
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.documents_file import DocumentsWriter, read_documents
from mediswift_cs.corpora.duplicates import Signature, text_hash
from mediswift_cs.corpora.latest import KEPT
from mediswift_cs.corpora.ngrams import word_hashes, words_of
from mediswift_cs.prepare.config import DedupSettings
from mediswift_cs.prepare.tasks import Result, save_array
from mediswift_cs.storage.write import atomic_file

# One row a document: hashes of its id and words, its PMID (0: none) and version.
TRAITS = np.dtype(
    [("id", np.uint64), ("text", np.uint64), ("pmid", np.int32), ("version", np.int32)]
)
# Documents that are put into arrays at a time: a part may be a whole data set.
_BLOCK = 4096
# Once in a worker for all its parts.
_near_duplicates = lru_cache(maxsize=1)(DedupSettings.near_duplicates)


class CleanResult(Result):
    """``changes``: how often each kind of change was made."""

    changes: dict[str, int]


class CleanedFiles(NamedTuple):
    """The files of a cleaned part of n documents.

    ``traits`` is TRAITS [n], ``signatures`` uint32 [n, num_perm] and ``bands`` uint64
    [num_bands, n]; the last two are empty if near duplicates are not looked for.
    """

    documents: Path
    traits: Path
    signatures: Path
    bands: Path


def clean_part(
    parsed: Path,
    status: Path | None,
    outputs: CleanedFiles,
    cleaning: Cleaning,
    dedup: DedupSettings,
) -> CleanResult:
    """Clean the documents of ``parsed`` whose ``status`` is KEPT (None: all), write ``outputs``."""
    counts: Counter[str] = Counter(kept=0, empty_text=0)
    changes: Counter[str] = Counter()
    near = _near_duplicates(dedup) if dedup.near else None
    rows: list[tuple[int, int, int, int]] = []
    signatures: list[Signature] = []
    blocks = []

    def end_block() -> None:
        stacked = np.stack(signatures) if signatures else np.empty((0, dedup.num_perm), np.uint32)
        bands = np.empty((0, 0), np.uint64) if near is None else near.band_hashes(stacked)
        blocks.append((np.array(rows, TRAITS), stacked, bands))
        rows.clear()
        signatures.clear()

    with atomic_file(outputs.documents) as temporary, DocumentsWriter(temporary) as writer:
        for document in _counted_documents(parsed, status):
            text, number = clean_text(document.text, cleaning)
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
            if len(rows) == _BLOCK:
                end_block()
    end_block()
    traits, all_signatures, bands = zip(*blocks, strict=True)
    save_array(outputs.traits, np.concatenate(traits))
    save_array(outputs.signatures, np.concatenate(all_signatures))
    save_array(outputs.bands, np.concatenate(bands, axis=1))
    return CleanResult(counts=dict(counts), changes=dict(changes))


def _counted_documents(parsed: Path, status: Path | None) -> Iterator[Document]:
    if status is None:
        yield from read_documents(parsed)
        return
    for document, its_status in zip(read_documents(parsed), np.load(status), strict=True):
        if its_status == KEPT:
            yield document


def _traits(document: Document, words: list[str]) -> tuple[int, int, int, int]:
    return text_hash([document.id]), text_hash(words), document.pmid or 0, document.version
