"""Token ids of documents -> samples of one length, no token lost and none counted twice."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Samples = npt.NDArray[np.int32]


class Packer:
    """Cuts the stream ``document <eos> document <eos> ...`` into samples.

    Windows of max_sequence_length + 1 tokens overlap by one, as in the "corpus" format of
    ModelZoo's H5Reader, so that every token but the very first is a label exactly once. A document
    that the end of a window cuts goes on in the next sample. Samples are int32
    [n, 3, max_sequence_length] with the rows input_ids, loss_mask (1 = counts) and labels.
    """

    def __init__(self, *, max_sequence_length: int, eos_id: int) -> None:
        assert max_sequence_length > 0
        self._length = max_sequence_length
        self._eos_id = eos_id
        self._rest: Ids = np.empty(0, np.int32)

    def add(self, documents: Sequence[Sequence[int] | Ids]) -> Samples:
        """Append documents; returns the samples that they complete (n may be 0)."""
        ends = np.cumsum([len(ids) + 1 for ids in documents], dtype=np.int64) + len(self._rest)
        stream = np.empty(ends[-1] if len(documents) else len(self._rest), np.int32)
        stream[: len(self._rest)] = self._rest
        for ids, end in zip(documents, ends, strict=True):
            stream[end - 1 - len(ids) : end - 1] = ids
            stream[end - 1] = self._eos_id
        num_samples = max(len(stream) - 1, 0) // self._length
        self._rest = stream[num_samples * self._length :].copy()
        return _samples(stream, num_samples, self._length)

    def finish(self) -> Samples:
        """The last, partial window, filled up with eos whose loss_mask is 0 (n is 0 or 1)."""
        rest, self._rest = self._rest, np.empty(0, np.int32)
        if len(rest) < 2:
            return _samples(rest, 0, self._length)
        padded = np.full(self._length + 1, self._eos_id, np.int32)
        padded[: len(rest)] = rest
        sample = _samples(padded, 1, self._length)
        sample[0, 1, len(rest) - 1 :] = 0
        return sample


def _samples(stream: Ids, num_samples: int, length: int) -> Samples:
    num_labels = num_samples * length
    samples = np.ones((num_samples, 3, length), np.int32)
    samples[:, 0] = stream[:num_labels].reshape(num_samples, length)
    samples[:, 2] = stream[1 : num_labels + 1].reshape(num_samples, length)
    return samples
