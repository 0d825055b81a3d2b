"""Duplicates over a whole corpus: by hash, and near ones by MinHash (Broder, 1997).

A signature is made for each document alone. Whole columns of band hashes are then compared by
sorting, a few million at a time, so memory does not grow with the corpus; pairs that share a band
are kept if their signatures agree often enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from datasketch import MinHashLSH
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mediswift_cs.corpora.ngrams import Hashes, ngram_hashes
from mediswift_cs.errors import ConfigError
from mediswift_cs.storage.checksums import hash64

Signature = npt.NDArray[np.uint32]
Pairs = npt.NDArray[np.int64]

# The estimate's error is below that of MinHash with as many values (Dahlgaard et al., 2017, "Fast
# Similarity Sketching"), and a long text takes no more time than a short one.
_SEED = 1
MINHASH_SCHEME = f"R-MinHash {RMinHash.ALGORITHM_VERSION}, seed {_SEED}"
_FNV = np.uint64(0x100000001B3)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """The choices of the user.

    Attributes:
        threshold: estimated Jaccard similarity of the sets of word n-grams from which on two texts
            are the same.
        num_perm: values of a signature; the estimate's standard error at 0.8 is at most
            0.4/sqrt(num_perm).
        ngram: words of an n-gram.
    """

    threshold: float = 0.8
    num_perm: int = 128
    ngram: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"dedup threshold: got {self.threshold}, allowed: above 0, at most 1")
        if not 16 <= self.num_perm <= 1024:
            raise ConfigError(f"dedup num_perm: got {self.num_perm}, allowed: 16 to 1024")
        if self.ngram < 1:
            raise ConfigError(f"dedup ngram: got {self.ngram}, allowed: 1 word or more")

    @property
    def bands(self) -> tuple[int, int]:
        """Number of bands and rows a band, which `datasketch` finds best for the threshold.

        Raises:
            ConfigError: the threshold is so high that one band would be best.
        """
        return _bands(self.threshold, self.num_perm)

    def signature(self, hashes: Hashes) -> Signature:
        """uint32 [num_perm] of a text's word hashes (uint64 [num_words])."""
        grams = ngram_hashes(hashes, self.ngram)
        sketch = RMinHash.digest_matrix_from_flat_token_hashes
        (values,) = sketch(grams, [0, len(grams)], self.num_perm, _SEED).to_rows()
        return np.array(values, np.uint32)

    def band_hashes(self, signatures: Signature) -> Hashes:
        """uint64 [num_bands, num_documents] of signatures [num_documents, num_perm]."""
        num_bands, num_rows = self.bands
        columns = signatures[:, : num_bands * num_rows].astype(np.uint64)
        columns = columns.reshape(len(signatures), num_bands, num_rows)
        hashes = np.full((len(signatures), num_bands), 0xCBF29CE484222325, np.uint64)
        for row in range(num_rows):
            hashes = (hashes ^ columns[:, :, row]) * _FNV
            hashes ^= hashes >> np.uint64(29)
        return np.ascontiguousarray(hashes.T)


@lru_cache
def _bands(threshold: float, num_perm: int) -> tuple[int, int]:
    try:
        lsh = MinHashLSH(threshold=threshold, num_perm=num_perm, weights=(0.3, 0.7))
    except ValueError as error:
        raise ConfigError(
            f"dedup threshold {threshold} is too high for num_perm {num_perm}: lower it or raise "
            "num_perm; equal texts are found with near: false too"
        ) from error
    return lsh.b, lsh.r


def text_hash(words: Sequence[str]) -> int:
    """64 bits that are the same for texts of the same words: case and punctuation do not count."""
    return hash64(" ".join(words))


def equal_pairs(hashes: Hashes, places: npt.NDArray[np.int64]) -> Pairs:
    """int64 [pairs, 2]: each place with the one before it that has the same hash.

    Args:
        hashes: uint64 [n].
        places: int64 [n], where each is in the corpus, ascending.
    """
    order = np.argsort(hashes, kind="stable")
    is_equal = hashes[order[1:]] == hashes[order[:-1]]
    return np.stack([places[order[:-1]][is_equal], places[order[1:]][is_equal]], axis=1)


def similar_pairs(pairs: Pairs, first: Signature, second: Signature, threshold: float) -> Pairs:
    """The pairs whose signatures, uint32 [pairs, num_perm] each, agree in ``threshold`` or more."""
    similar: Pairs = pairs[(first == second).mean(axis=1) >= threshold]
    return similar


def group_numbers(num_documents: int, pairs: Sequence[Pairs]) -> npt.NDArray[np.int32]:
    """int32 [num_documents]: documents that pairs connect have the same number."""
    edges = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    ones = np.ones(len(edges), np.int8)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(num_documents, num_documents))
    _, numbers = connected_components(graph, directed=False)
    groups: npt.NDArray[np.int32] = numbers.astype(np.int32)
    return groups


def first_of_each_group(
    groups: npt.NDArray[np.int32], rank: npt.NDArray[np.int8]
) -> npt.NDArray[np.bool_]:
    """bool [num_documents]: the one of lowest rank, and of these the first, in each group."""
    order = np.lexsort((np.arange(len(groups)), rank, groups))
    is_first = np.ones(len(groups), bool)
    is_first[1:] = groups[order[1:]] != groups[order[:-1]]
    result = np.zeros(len(groups), bool)
    result[order[is_first]] = True
    return result


def partitions(num_documents: int, largest: int) -> Iterator[tuple[int, int]]:
    """(number of parts, part) so that about ``largest`` hashes fall into each part."""
    num_parts = max(1, -(-num_documents // largest))
    yield from ((num_parts, part) for part in range(num_parts))
