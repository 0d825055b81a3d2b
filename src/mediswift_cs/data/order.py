"""The order of samples: a stream that depends on the seed and on nothing else.

It is that of cerebras-pytorch 2.10's DistributedSampler, so that a run goes on anywhere.
"""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class SampleOrder(Sampler[list[int]]):
    """Batches of sample numbers, from any position in the stream.

    Epoch e of a shuffled set is torch's permutation for the seed ``seed + e``. With ``drop_last``
    the epochs follow each other without end, and a batch may reach from one into the next; without
    it, one iteration is one epoch, whose last batch may be short.

    Attributes:
        rows: the part of each batch that is given out; the position counts whole batches.
    """

    def __init__(
        self, num_samples: int, *, batch_size: int, shuffle: bool, seed: int, drop_last: bool
    ) -> None:
        self.num_samples, self.batch_size = num_samples, batch_size
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.rows = slice(None)
        self._next = 0

    def set_state(self, start_index: int) -> None:
        """Go on after ``start_index`` samples of the stream."""
        self._next = start_index

    def __len__(self) -> int:
        """Batches of what is left of the epoch."""
        left = self.num_samples - self._next % self.num_samples
        return left // self.batch_size if self.drop_last else -(-left // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self._stream():
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch[self.rows]
                batch = []
        if batch:
            yield batch[self.rows]

    def _stream(self) -> Iterator[int]:
        while True:
            epoch, begin = divmod(self._next, self.num_samples)
            yield from self._epoch(epoch)[begin:]
            self._next = (epoch + 1) * self.num_samples
            if not self.drop_last:
                return

    def _epoch(self, number: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.num_samples))
        generator = torch.Generator()
        generator.manual_seed(self.seed + number)
        order: list[int] = torch.randperm(self.num_samples, generator=generator).tolist()
        return order
