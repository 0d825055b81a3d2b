import itertools
from typing import Any

import numpy as np
import pytest

from mediswift_cs.corpora.duplicates import (
    MINHASH_SCHEME,
    NearDuplicates,
    equal_pairs,
    first_of_each_group,
    group_numbers,
    partitions,
    similar_pairs,
    text_hash,
)
from mediswift_cs.corpora.ngrams import ngram_hashes, word_hashes, words_of
from mediswift_cs.errors import ConfigError


def random_words(num_words: Any, seed: int) -> Any:
    return [f"w{n}" for n in np.random.default_rng(seed).integers(0, 5000, num_words)]


def with_changes(words: Any, share: Any, seed: int) -> Any:
    """The text with a block of its words, ``share`` of it, replaced."""
    start = np.random.default_rng(seed).integers(0, int(len(words) * (1 - share)))
    changed = list(words)
    for place in range(start, start + int(len(words) * share)):
        changed[place] = f"new{seed}-{place}"
    return changed


def jaccard(first: Any, second: Any, n: Any = 5) -> Any:
    first, second = (
        {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} for words in (first, second)
    )
    return len(first & second) / len(first | second)


def test_ngrams_are_those_of_the_words() -> None:
    words = words_of("The mice, the MICE: the cells")
    assert words == ["the", "mice", "the", "mice", "the", "cells"]
    hashes = ngram_hashes(word_hashes(words), 2)
    assert hashes.shape == (5,)
    # the-mice twice, mice-the twice, the-cells: order counts.
    assert len(np.unique(hashes)) == 3
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3] != hashes[4]
    assert ngram_hashes(word_hashes(words[:1]), 13).shape == (1,)
    assert ngram_hashes(word_hashes([]), 13).shape == (0,)


def test_the_signatures_estimate_the_jaccard_similarity() -> None:
    options = NearDuplicates(num_perm=512)
    errors, true = [], []
    for seed, share in enumerate((0.0, 0.02, 0.05, 0.1, 0.2, 0.4)):
        words = random_words(300, seed)
        other = with_changes(words, share, seed)
        first, second = (options.signature(word_hashes(each)) for each in (words, other))
        true.append(jaccard(words, other))
        errors.append((first == second).mean() - true[-1])
    assert max(true) == 1
    assert min(true) < 0.5
    # Four standard errors of 512 values.
    assert np.abs(errors).max() < 4 * 0.5 / np.sqrt(512)


def errors_of(options: NearDuplicates) -> Any:
    """Float [400]: estimated less true similarity of texts and their copies with changes."""
    errors = []
    for seed in range(400):
        words = random_words(200, seed)
        other = with_changes(words, 0.05, seed)
        first, second = (options.signature(word_hashes(each)) for each in (words, other))
        errors.append((first == second).mean() - jaccard(words, other))
    return np.array(errors)


def test_the_error_is_no_larger_than_that_of_minhash() -> None:
    """sqrt(J (1 - J) / num_perm), here with J = 0.87, without bias; control: a quarter of them."""
    errors = errors_of(NearDuplicates(num_perm=64))
    expected = np.sqrt(0.87 * 0.13 / 64)
    assert np.sqrt(np.mean(errors**2)) < expected
    assert abs(errors.mean()) < 4 * expected / np.sqrt(400)
    assert np.sqrt(np.mean(errors_of(NearDuplicates(num_perm=16)) ** 2)) > expected


def test_a_signature_is_that_of_the_set_of_ngrams() -> None:
    """Neither how often one comes nor the order counts; no word is a signature too."""
    options = NearDuplicates(num_perm=16, ngram=1)
    words = random_words(5000, 1)
    signature = options.signature(word_hashes(words))
    assert np.array_equal(signature, options.signature(word_hashes([*words[::-1], *words])))
    assert not np.array_equal(signature, options.signature(word_hashes(words[:2500])))
    assert options.signature(word_hashes([])).tolist() == [2**32 - 1] * 16


def test_the_signatures_are_those_that_are_kept_on_disk() -> None:
    """Those of one run are compared with those of another: fixed numbers, and their name."""
    signature = NearDuplicates(num_perm=16).signature(word_hashes(random_words(50, 3)))
    assert MINHASH_SCHEME == "R-MinHash 2, seed 1"
    assert signature[:3].tolist() == [1093866188, 63339608, 1778824641]


def near_pairs(options: Any, texts: Any) -> Any:
    signatures = np.stack([options.signature(word_hashes(words)) for words in texts])
    places = np.arange(len(texts))
    found = set()
    for band in options.band_hashes(signatures):
        pairs = equal_pairs(band, places)
        kept = similar_pairs(
            pairs, signatures[pairs[:, 0]], signatures[pairs[:, 1]], options.threshold
        )
        found |= {tuple(sorted(pair)) for pair in kept.tolist()}
    return found


def test_near_copies_are_found_and_others_are_not() -> None:
    texts = [random_words(200, seed) for seed in range(40)]
    near = [with_changes(words, 0.02, seed) for seed, words in enumerate(texts)]
    far = [with_changes(words, 0.5, seed) for seed, words in enumerate(texts)]
    assert all(jaccard(a, b) > 0.9 for a, b in zip(texts, near, strict=True))
    assert all(jaccard(a, b) < 0.4 for a, b in zip(texts, far, strict=True))
    found = near_pairs(NearDuplicates(), texts + near + far)
    expected = {(n, n + 40) for n in range(40)}
    assert found == expected


def test_pairs_at_exactly_the_threshold_are_similar() -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5]])
    first = np.zeros((3, 16), np.uint32)
    second = first.copy()
    for row, num_different in enumerate((3, 4, 5)):
        second[row, :num_different] = 1
    # 12 of 16 values agree in the second pair.
    assert similar_pairs(pairs, first, second, 0.75).tolist() == [[0, 1], [2, 3]]


def test_equal_hashes_pair_within_each_partition() -> None:
    hashes = np.array([5, 7, 5, 9, 7, 5], np.uint64)
    pairs = equal_pairs(hashes, np.arange(6) + 10)
    assert sorted(map(tuple, pairs.tolist())) == [(10, 12), (11, 14), (12, 15)]
    assert list(partitions(10, 4)) == [(3, 0), (3, 1), (3, 2)]
    by_part = [
        equal_pairs(hashes[hashes % parts == part], np.flatnonzero(hashes % parts == part) + 10)
        for parts, part in partitions(6, 2)
    ]
    assert sorted(map(tuple, np.concatenate(by_part).tolist())) == sorted(
        map(tuple, pairs.tolist())
    )


def test_groups_keep_the_lowest_rank_then_the_first() -> None:
    pairs = [np.array([[0, 3], [3, 5]]), np.array([[1, 2]])]
    groups = group_numbers(6, pairs)
    assert groups[0] == groups[3] == groups[5]
    assert len(set(groups)) == 3
    rank = np.array([1, 1, 1, 1, 1, 0], np.int8)
    assert first_of_each_group(groups, rank).tolist() == [False, True, False, False, True, True]
    rank[:] = 0
    assert first_of_each_group(groups, rank).tolist() == [True, True, False, False, True, False]
    assert group_numbers(3, []).tolist() == [0, 1, 2]


def test_exact_duplicates_do_not_depend_on_case_and_punctuation() -> None:
    same = {text_hash(words_of(text)) for text in ("The mice.", "the  mice", "THE MICE!\n")}
    assert len(same) == 1
    assert text_hash(words_of("the mouse")) not in same


def test_the_bands_suit_the_threshold() -> None:
    for threshold, num_perm in itertools.product((0.5, 0.8, 0.9), (64, 128)):
        bands, rows = NearDuplicates(threshold=threshold, num_perm=num_perm).bands
        assert bands * rows <= num_perm
        # The chance of sharing a band, well above and well below the threshold.
        high, low = (1 - (1 - s**rows) ** bands for s in ((1 + threshold) / 2, threshold / 2))
        assert high > 0.9
        assert low < 0.4


@pytest.mark.parametrize("option", [{"threshold": 0.0}, {"num_perm": 2}, {"ngram": 0}])
def test_settings_out_of_range(option: Any) -> None:
    with pytest.raises(ConfigError, match=f"dedup {next(iter(option))}: got .*, allowed: "):
        NearDuplicates(**option)
