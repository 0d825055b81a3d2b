"""Files that the settings name beside the inputs: benchmarks, blocked PMIDs, a tokenizer."""

from collections.abc import Collection
from pathlib import Path

from mediswift_cs.corpora.blocklist import (
    SUFFIXES,
    Overlaps,
    benchmark_pmids,
    benchmark_texts,
    read_pmids,
)
from mediswift_cs.corpora.files import find_files
from mediswift_cs.corpora.ngrams import words_of
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import GuardSettings, PrepareSettings
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.tokens.tokenizer import load_tokenizer


def check_given_files(settings: PrepareSettings, stages: Collection[str]) -> None:
    """Read what late stages are given, so that a wrong file ends a run before hours of work.

    Raises:
        DataError: a file does not exist or is not what it should be.
    """
    if "dedup" in stages:
        blocked_pmids(settings.guard)
    if "guard" in stages and settings.guard.texts:
        benchmark_overlaps(settings.guard)
    if "tokenizer" in stages and settings.tokenizer.path is not None:
        load_tokenizer(settings.tokenizer.path)


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
    return Overlaps.of_texts(all_texts, ngram=settings.ngram, overlap=settings.overlap)


def benchmark_md5s(settings: GuardSettings) -> list[str]:
    """Of the benchmark files, in the order in which they are read."""
    return [md5_of(file) for path in settings.texts for file, _name in find_files([path], SUFFIXES)]


def tokenizer_md5s(path: Path) -> list[str]:
    """Of a tokenizer's file, or of the files in its folder.

    Raises:
        DataError: there is none.
    """
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file())
    if not files:
        raise DataError(f"tokenizer {path} does not exist: give a tokenizer.json or its folder")
    return [md5_of(file) for file in files]
