"""The contamination guard: what a benchmark asks about must not be in the training text.

Articles of a benchmark are known by their PMID. Copies under other names are found by their
13-grams (Brown et al., 2020): a document that holds a large part of those of a benchmark's text.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs.corpora.files import find_files
from mediswift_cs.corpora.ngrams import Hashes, ngram_hashes, word_hashes, words_of
from mediswift_cs.corpora.pmid import parse_pmid
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.read import parse_json, read_json_object, read_text

NGRAM = 13
OVERLAP = 0.5

_PMIDS_FILE = "benchmark_pmids.txt"
# What a benchmark's file holds, by its suffix.
_FORMS = {
    ".json": "an object of records by PMID, each with CONTEXTS, sentences or text",
    ".jsonl": "an object a line, with CONTEXTS, sentences or text",
    ".txt": "a text a line",
}
SUFFIXES = tuple(_FORMS)


def benchmark_pmids() -> frozenset[int]:
    """The PMIDs of PubMedQA's labelled set and of the Hallmarks of Cancer corpus."""
    text = files("mediswift_cs.corpora").joinpath(_PMIDS_FILE).read_text(encoding="ascii")
    return frozenset(_pmids(text.splitlines(), _PMIDS_FILE))


def read_pmids(path: Path) -> frozenset[int]:
    """PMIDs of a text file, one a line; empty lines and comments (#) do not count.

    Raises:
        DataError: unreadable, or a line is no PMID.
    """
    return frozenset(_pmids(read_text(path).splitlines(), str(path)))


def _pmids(lines: Iterable[str], name: str) -> Iterator[int]:
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        pmid = parse_pmid(text)
        if pmid is None:
            raise DataError(f"line {number} of {name}: got {text[:40]!r}, allowed: a PMID")
        yield pmid


def benchmark_texts(path: Path) -> list[str]:
    """The texts of a benchmark's file or folder, one each record.

    ``.json`` is PubMedQA's (records by PMID with CONTEXTS), ``.jsonl`` has an object a line with
    ``text`` or ``sentences``, ``.txt`` one text a line.

    Raises:
        DataError: unreadable, of another form, or without any text.
    """
    texts: list[str] = []
    for file, _ in find_files([path], SUFFIXES):
        try:
            texts += _READERS[file.suffix](file)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{file} is no benchmark file, allowed: {_FORMS[file.suffix]}"
            ) from error
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise DataError(f"no text in benchmark {path}")
    return texts


def _lines(file: Path) -> Iterator[str]:
    # Not splitlines: JSON strings may hold other line ends than its own.
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if line.strip():
            yield _record_text(parse_json(line, str(file), line=number))


_READERS: dict[str, Callable[[Path], Iterable[str]]] = {
    ".json": lambda file: map(_record_text, read_json_object(file).values()),
    ".jsonl": _lines,
    ".txt": lambda file: read_text(file).splitlines(),
}


def _record_text(record: Any) -> str:
    for name in ("CONTEXTS", "sentences"):
        if name in record:
            if not isinstance(record[name], list):
                # A text would be taken for a list of letters.
                raise TypeError(f"{name} is {record[name]!r:.40}")
            return " ".join(record[name])
    text = record["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r:.40}")
    return text


class Overlaps:
    """The n-grams of benchmark texts, sorted, to look up those of a document.

    Args:
        texts: those of fewer words than one n-gram are left out.
        ngram: words of an n-gram.
        overlap: share of a benchmark text's n-grams that makes a document a near copy of it.
    """

    def __init__(self, texts: Iterable[str], *, ngram: int, overlap: float) -> None:
        if ngram < 1:
            raise ConfigError(f"guard ngram: got {ngram}, allowed: 1 word or more")
        if not 0 < overlap <= 1:
            raise ConfigError(f"guard overlap: got {overlap}, allowed: above 0, at most 1")
        self._ngram, self._overlap = ngram, overlap
        all_words = [words for text in texts if len(words := words_of(text)) >= ngram]
        grams = [np.unique(ngram_hashes(word_hashes(words), ngram)) for words in all_words]
        # int64 [num_texts], how many different ones each text has.
        self.num_grams = np.array([len(each) for each in grams], np.int64)
        hashes = np.concatenate([np.empty(0, np.uint64), *grams])
        order = np.argsort(hashes, kind="stable")
        # uint64 [num_grams], ascending, and int64 [num_grams], which text each is from.
        self.hashes = hashes[order]
        self.text_numbers = np.repeat(np.arange(len(grams)), self.num_grams)[order]

    def is_near_copy(self, words: Hashes) -> bool:
        """Whether a document (uint64 [num_words] word hashes) holds ``overlap`` of some text."""
        if len(words) < self._ngram:
            return False
        grams = np.unique(ngram_hashes(words, self._ngram))
        start = np.searchsorted(self.hashes, grams, side="left")
        end = np.searchsorted(self.hashes, grams, side="right")
        is_found = end > start
        if not is_found.any():
            return False
        places = [np.arange(a, b) for a, b in zip(start[is_found], end[is_found], strict=True)]
        found = np.bincount(
            self.text_numbers[np.concatenate(places)], minlength=len(self.num_grams)
        )
        return bool((found >= self._overlap * self.num_grams).any())
