from typing import Any

import numpy as np
import pytest

from mediswift_cs.tokens.splits import Packer

EOS = 99


def packed(batches: Any, length: Any) -> Any:
    packer = Packer(max_sequence_length=length, eos_id=EOS)
    return np.concatenate([*(packer.add(batch) for batch in batches), packer.finish()])


def stream_of(batches: Any) -> Any:
    return np.array([i for batch in batches for document in batch for i in (*document, EOS)])


def labels_by_definition(stream: Any, length: Any) -> Any:
    """Windows of length + 1 that overlap by one, written out one by one."""
    rows = []
    for start in range(0, len(stream) - 1, length):
        window = list(stream[start : start + length + 1])
        real = len(window) - 1
        window += [EOS] * (length - real)
        rows.append([window[:-1], [1] * real + [0] * (length - real), window[1:]])
    return np.array(rows, np.int32)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 8, 100])
def test_windows_are_those_of_the_definition(length: Any) -> None:
    batches = [[[1, 2, 3], [4]], [[5, 6]], [], [[7] * 9, [8, 9]]]
    samples = packed(batches, length)
    expected = labels_by_definition(stream_of(batches), length)
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.int32
    # Control: windows without the shared token lose one label a window.
    apart = labels_by_definition(stream_of(batches)[1:], length)
    assert apart.shape != expected.shape or not np.array_equal(apart, expected)


@pytest.mark.parametrize("length", [2, 16, 64])
def test_every_token_but_the_first_is_a_label_exactly_once(length: Any) -> None:
    random = np.random.default_rng(0)
    documents = [list(random.integers(0, 90, random.integers(1, 40))) for _ in range(200)]
    samples = packed([documents[:77], documents[77:78], documents[78:]], length)
    stream = stream_of([documents])
    counted = samples[:, 2][samples[:, 1] == 1]
    np.testing.assert_array_equal(counted, stream[1:])
    assert samples[:, 1].sum() == len(stream) - 1
    np.testing.assert_array_equal(samples[0, 0, :1], stream[:1])


def test_the_padding_is_eos_and_does_not_count() -> None:
    samples = packed([[[1, 2]]], 5)
    assert samples.tolist() == [[[1, 2, 99, 99, 99], [1, 1, 0, 0, 0], [2, 99, 99, 99, 99]]]


def test_a_full_last_window_is_not_padded_and_nothing_follows() -> None:
    samples = packed([[[1, 2, 3, 4]]], 4)
    assert samples.tolist() == [[[1, 2, 3, 4], [1, 1, 1, 1], [2, 3, 4, 99]]]


def test_how_documents_are_batched_does_not_show() -> None:
    documents = [[i] * (i % 5 + 1) for i in range(1, 60)]
    one = packed([documents], 7)
    many = packed([[document] for document in documents], 7)
    np.testing.assert_array_equal(one, many)
    assert not np.array_equal(one, packed([documents[::-1]], 7))


def test_an_empty_stream_gives_no_sample() -> None:
    assert packed([], 4).shape == (0, 3, 4)
