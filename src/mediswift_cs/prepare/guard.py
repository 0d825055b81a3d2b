"""Stage ``guard``: the documents left of a part, without near copies of benchmarks, counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from mediswift_cs.corpora.blocklist import (
    SUFFIXES,
    Overlaps,
    benchmark_pmids,
    benchmark_texts,
    read_pmids,
)
from mediswift_cs.corpora.document import Document, SourceEntry
from mediswift_cs.corpora.documents_file import (
    DocumentsWriter,
    manifest_path,
    parse_document,
    read_lines,
)
from mediswift_cs.corpora.files import describe_files, find_files
from mediswift_cs.corpora.ngrams import word_hashes, words_of
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import GuardSettings
from mediswift_cs.prepare.tasks import Result
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.storage.write import atomic_file, write_json

_NONE = "not stated"


@dataclass
class Statistics:
    """Counts of documents by length, year, journal and licence.

    Attributes:
        lengths: by the power of two of characters that is not above the length.
    """

    num_documents: int = 0
    num_characters: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    lengths: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    journals: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)

    def add(self, document: Document) -> None:
        """Count one document that stays in the corpus."""
        length = len(document.text)
        self.num_documents += 1
        self.num_characters += length
        self.sources[document.id.partition(":")[0]] += 1
        self.lengths[str(1 << (length.bit_length() - 1))] += 1
        self.years[str(document.year) if document.year else _NONE] += 1
        self.journals[document.journal or _NONE] += 1
        # PubMed's abstracts state a copyright, not a licence.
        self.licences[(document.licence_class and document.licence) or _NONE] += 1

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """As JSON, in an order that does not depend on that of the documents."""
        return {
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def sum_of(cls, parts: Iterable["Statistics"]) -> "Statistics":
        """Those of all documents, from those of each part."""
        total = cls()
        for part in parts:
            for name, value in vars(part).items():
                setattr(total, name, getattr(total, name) + value)
        return total


class GuardResult(Result):
    """What is left of a part.

    Attributes:
        benchmark_copies: the ids found, whether they are dropped or only reported.
        entry: the file of the documents.
    """

    benchmark_copies: list[str]
    statistics: Statistics
    entry: SourceEntry


def blocked_pmids(settings: GuardSettings) -> frozenset[int]:
    """The articles that must not be in the corpus.

    Raises:
        DataError: a file is unreadable, or a line of it is no PMID.
    """
    blocked = benchmark_pmids() if settings.pmids else frozenset()
    for path in settings.pmid_files:
        blocked |= read_pmids(path)
    return blocked


def benchmark_overlaps(settings: GuardSettings) -> Overlaps:
    """The n-grams of the benchmark files, to find near copies of their texts by.

    Raises:
        DataError: a file is wrong, or none of its texts has as many words as an n-gram, so that
            nothing could be found.
    """
    all_texts = []
    for path in settings.texts:
        texts = benchmark_texts(path)
        if not any(len(words_of(text)) >= settings.ngram for text in texts):
            raise DataError(
                f"no text of benchmark {path} has the {settings.ngram} words of guard.ngram"
            )
        all_texts += texts
    return Overlaps(all_texts, ngram=settings.ngram, overlap=settings.overlap)


def guard_options(settings: GuardSettings) -> dict[str, object]:
    """The settings as JSON, with the md5 of each file in place of its path."""
    given = {"texts": settings.texts, "pmid_files": settings.pmid_files}
    md5s = {
        name: [file.md5 for file in describe_files(find_files(paths, SUFFIXES), quiet=True)]
        for name, paths in given.items()
    }
    number = {"num_blocked_pmids": len(blocked_pmids(settings))}
    return settings.model_dump(exclude=set(given)) | md5s | number


# Once in a worker for all its parts.
_overlaps = lru_cache(maxsize=1)(benchmark_overlaps)


def guard_part(
    cleaned: Path,
    status: Path,
    output: Path,
    settings: GuardSettings,
    manifest: Mapping[str, object],
) -> GuardResult:
    """Write the final documents of a part, and beside them their manifest.

    Args:
        cleaned: the part's documents, of which ``status`` (uint8 [num_documents]) is 0 for those
            that stay.
        manifest: what the manifest says beside the counts.
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
        num_bytes, md5 = temporary.stat().st_size, md5_of(temporary)
    write_json(manifest_path(output), {**manifest, "counts": dict(counts)}, ensure_ascii=False)
    return GuardResult(
        counts=dict(counts),
        benchmark_copies=found,
        statistics=statistics,
        entry=SourceEntry(path=output.name, bytes=num_bytes, md5=md5),
    )
