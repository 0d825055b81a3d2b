"""Hashes of the n-grams of a text's words, for near duplicates and for overlaps."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mediswift_cs.storage.checksums import hash64

Hashes = npt.NDArray[np.uint64]

# What, with n, determines the hashes; recorded wherever they are stored.
NGRAM_FUNCTION = "blake2b-64 of lower-case \\w+ words, polynomial modulo 2**64"

_WORD = re.compile(r"\w+")
# An odd multiplier, so that no bit of a word is lost (Knuth, MMIX).
_MULTIPLIER = np.uint64(6364136223846793005)
_CACHE_SIZE = 500_000


class _WordHashes(dict[str, int]):
    """64-bit hash of each word, kept for the next time."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        self[word] = value = hash64(word)
        return value


_word_hash = _WordHashes()


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return _WORD.findall(text.lower())


def word_hashes(words: Sequence[str]) -> Hashes:
    """A 64-bit hash of each word, as uint64 [num_words]."""
    return np.fromiter(map(_word_hash.__getitem__, words), np.uint64, len(words))


def ngram_hashes(hashes: Hashes, n: int) -> Hashes:
    """Hashes of the n-grams of hashed words; a shorter text is one n-gram of all its words.

    Returns:
        uint64 [max(num_words - n + 1, 1)], or [0] without words; the same n-gram may come twice.
    """
    n = min(n, len(hashes))
    if not n:
        return hashes
    result = np.zeros(len(hashes) - n + 1, np.uint64)
    for offset in range(n):
        result = result * _MULTIPLIER + hashes[offset : offset + len(result)]
    # The high bits of a product depend on all bits, the low ones do not (murmur3's finalizer).
    result ^= result >> np.uint64(33)
    result *= np.uint64(0xFF51AFD7ED558CCD)
    result ^= result >> np.uint64(33)
    return result
