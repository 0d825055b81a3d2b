"""Stage ``dedup``: pairs of near duplicates, band by band, then what becomes of each document."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mediswift_cs.corpora.duplicates import (
    Pairs,
    equal_pairs,
    first_of_each_group,
    group_numbers,
    partitions,
    similar_pairs,
    text_hash,
)
from mediswift_cs.prepare.clean import TRAITS, CleanedFiles
from mediswift_cs.prepare.config import DedupSettings, Kind
from mediswift_cs.prepare.tasks import Result, save_array

# What becomes of a cleaned document; the number is its status.
OUTCOMES = (
    "kept",
    "retracted",
    "benchmark_pmid",
    "copy_of_dropped",
    "duplicate_id",
    "abstract_of_full_text",
    "exact_duplicate",
    "near_duplicate",
)
_NUMBER = {name: number for number, name in enumerate(OUTCOMES)}
# Their copies must go too, whatever their id is.
_SPREADING = ("retracted", "benchmark_pmid")

# Band hashes that are sorted at a time, and pairs that are compared: some 100 MB each.
_LARGEST_PARTITION = 4_000_000
_PAIRS_AT_A_TIME = 100_000

Status = npt.NDArray[np.uint8]


def find_pairs(band: int, threshold: float, files: Sequence[CleanedFiles], output: Path) -> Result:
    """Write int64 [pairs, 2]: the places of documents that share one band and are similar.

    Args:
        band: its number.
        threshold: share of the signature in which similar documents agree.
        files: of all parts.
    """
    all_bands = [np.load(each.bands, mmap_mode="r") for each in files]
    signatures = _Signatures([each.signatures for each in files])
    found: list[Pairs] = []
    for num_parts, part in partitions(signatures.num_documents, _LARGEST_PARTITION):
        hashes, places = [], []
        for bands, start in zip(all_bands, signatures.starts, strict=True):
            of_part = np.array(bands[band])
            inside = np.flatnonzero(of_part % np.uint64(num_parts) == part)
            hashes.append(of_part[inside])
            places.append(inside + start)
        pairs = equal_pairs(np.concatenate(hashes), np.concatenate(places))
        for start in range(0, len(pairs), _PAIRS_AT_A_TIME):
            some = pairs[start : start + _PAIRS_AT_A_TIME]
            first, second = signatures.rows(some[:, 0]), signatures.rows(some[:, 1])
            found.append(similar_pairs(some, first, second, threshold))
    save_array(output, np.concatenate([np.empty((0, 2), np.int64), *found]))
    return Result()


class _Signatures:
    """The signatures of all parts as one array, on disk."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._arrays = [np.load(path, mmap_mode="r") for path in paths]
        lengths = [len(array) for array in self._arrays]
        self.num_documents = sum(lengths)
        self.starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def rows(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """The signatures of documents, as uint32 [len(places), num_perm]."""
        result = np.empty((len(places), self._arrays[0].shape[1]), np.uint32)
        parts = np.searchsorted(self.starts, places, side="right") - 1
        for part in np.unique(parts):
            chosen = parts == part
            result[chosen] = self._arrays[part][places[chosen] - self.starts[part]]
        return result


def decide(
    settings: DedupSettings,
    files: Sequence[CleanedFiles],
    outputs: Sequence[Path],
    *,
    kinds: Sequence[Kind],
    retracted: Path,
    retracted_articles: Sequence[tuple[str, int]],
    blocked: Sequence[int],
    pairs: Sequence[Path],
) -> Result:
    """Write for each part uint8 [num_documents], the number of each document's outcome.

    Args:
        files: of the cleaned parts, whose kinds are ``kinds``.
        retracted: the PMIDs of retracted articles.
        retracted_articles: (id, version) of full texts that say so themselves.
        blocked: PMIDs that must not be in the corpus.
        pairs: what :func:`find_pairs` wrote for each band.
    """
    of_parts = [np.load(each.traits) for each in files]
    traits = np.concatenate([np.empty(0, TRAITS), *of_parts])
    lengths = [len(each) for each in of_parts]
    kind = np.repeat(np.array(kinds, str), lengths)
    is_full_text = kind == "pmc"
    status = np.zeros(len(traits), np.uint8)
    is_retracted = np.isin(traits["pmid"], np.load(retracted)) & (kind != "pubmed")
    is_retracted |= _is_retracted_version(traits, retracted_articles)
    status[is_retracted] = _NUMBER["retracted"]
    is_blocked = np.isin(traits["pmid"], np.array(blocked, np.int32))
    status[is_blocked & (traits["pmid"] > 0)] = _NUMBER["benchmark_pmid"]
    # Texts of the user's own may share an id: that of a patient keeps them on one side of a split.
    _drop_older_of_one_id(status, traits, np.flatnonzero(kind != "dataset"))
    if settings.abstracts_of_full_texts == "drop":
        _drop_abstracts(status, traits, is_full_text)
    all_pairs = [np.load(path) for path in pairs]
    if settings.exact:
        all_pairs.append(equal_pairs(traits["text"], np.arange(len(traits))))
    _drop_copies(status, traits, is_full_text, group_numbers(len(traits), all_pairs))
    counts: Counter[str] = Counter()
    ends = np.cumsum(lengths)
    for path, start, end in zip(outputs, ends - lengths, ends, strict=True):
        save_array(path, status[start:end])
        numbers = np.bincount(status[start:end], minlength=len(OUTCOMES))
        counts.update(dict(zip(OUTCOMES, numbers.tolist(), strict=True)))
    return Result(counts=dict(counts))


def _is_retracted_version(
    traits: npt.NDArray[Any], articles: Sequence[tuple[str, int]]
) -> npt.NDArray[np.bool_]:
    """bool [num_documents]: of an article that the same or a later version says is retracted."""
    latest: dict[int, int] = {}
    for article, version in articles:
        number = text_hash([article])
        latest[number] = max(version, latest.get(number, version))
    found = np.isin(traits["id"], np.array(list(latest), np.uint64))
    for place in np.flatnonzero(found):
        found[place] = traits["version"][place] <= latest[int(traits["id"][place])]
    return found


def _drop_older_of_one_id(
    status: Status, traits: npt.NDArray[Any], places: npt.NDArray[np.int64]
) -> None:
    """Of those of ``places`` with one id the highest version counts, of equal ones the last."""
    order = places[np.lexsort((places, traits["version"][places], traits["id"][places]))]
    is_older = traits["id"][order[:-1]] == traits["id"][order[1:]]
    older = order[:-1][is_older]
    status[older[status[older] == 0]] = _NUMBER["duplicate_id"]


def _drop_abstracts(
    status: Status, traits: npt.NDArray[Any], is_full_text: npt.NDArray[np.bool_]
) -> None:
    """Of an article whose full text is kept, the abstract is in the corpus already."""
    has_full_text = traits["pmid"][is_full_text & (status == 0) & (traits["pmid"] > 0)]
    is_abstract = ~is_full_text & (status == 0) & np.isin(traits["pmid"], has_full_text)
    status[is_abstract] = _NUMBER["abstract_of_full_text"]


def _drop_copies(
    status: Status,
    traits: npt.NDArray[Any],
    is_full_text: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int32],
) -> None:
    spreads = np.isin(status, [_NUMBER[name] for name in _SPREADING])
    is_tainted = np.isin(groups, groups[spreads])
    status[(status == 0) & is_tainted] = _NUMBER["copy_of_dropped"]
    # A full text stays rather than an abstract, and what is dropped already stands for nobody.
    rank = np.where(status > 0, 2, np.where(is_full_text, 0, 1)).astype(np.int8)
    is_first = first_of_each_group(groups, rank)
    first_text = np.zeros(int(groups.max(initial=-1)) + 1, np.uint64)
    first_text[groups[is_first]] = traits["text"][is_first]
    is_copy = (status == 0) & ~is_first
    is_exact = first_text[groups] == traits["text"]
    status[is_copy & is_exact] = _NUMBER["exact_duplicate"]
    status[is_copy & ~is_exact] = _NUMBER["near_duplicate"]
