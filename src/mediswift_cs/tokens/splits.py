"""One split of a data set: which documents it has, its stream of tokens, its shards, its totals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from mediswift_cs.errors import ConfigError
from mediswift_cs.storage.checksums import hash64, md5_of
from mediswift_cs.tokens.hdf5 import Samples, ShardWriter
from mediswift_cs.tokens.manifest import Manifest, ShardEntry, SplitEntry

Ids = npt.NDArray[np.int32]

# Recorded in the manifest; another function would need another name.
SPLIT_FUNCTION = "blake2b-64(id) < val_fraction * 2**64"


def check_val_fraction(val_fraction: float) -> None:
    """Raise ConfigError unless 0 <= val_fraction < 1."""
    if not 0 <= val_fraction < 1:
        raise ConfigError(f"val_fraction: got {val_fraction}, allowed: 0 or more, below 1")


def split_of(document_id: str, val_fraction: float) -> str:
    """The split that a document belongs to, ``"train"`` or ``"val"``.

    The same id is on the same side whatever else is in the corpus, and a document that is in "val"
    stays there when val_fraction grows.
    """
    return "val" if hash64(document_id) < val_fraction * 2**64 else "train"


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


class SplitWriter:
    """Packs tokenized documents into the shards of ``folder`` and counts what it writes.

    Attributes:
        token_counts: int64 [vocab_size], how often each id occurs in the stream.
    """

    def __init__(self, folder: Path, planned: Manifest) -> None:
        folder.mkdir()
        tokenizer, length = planned.tokenizer, planned.max_sequence_length
        self.num_documents = 0
        self.token_counts: npt.NDArray[np.int64] = np.zeros(tokenizer.vocab_size, np.int64)
        self._folder = folder
        self._eos_id = tokenizer.eos_id
        self._packer = Packer(max_sequence_length=length, eos_id=tokenizer.eos_id)
        self._writer = ShardWriter(
            folder,
            max_sequence_length=length,
            samples_per_shard=planned.options["samples_per_shard"],
            attributes={
                "max_sequence_length": length,
                "tokenizer_sha256": tokenizer.sha256,
                "vocab_size": tokenizer.vocab_size,
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, documents: Sequence[Ids]) -> None:
        """Append documents, each at least one token id, without the end-of-text token."""
        if not documents:
            return
        ids = np.concatenate(documents)
        self.token_counts += np.bincount(ids, minlength=len(self.token_counts))
        self.token_counts[self._eos_id] += len(documents)
        self.num_documents += len(documents)
        self._writer.write(self._packer.add(documents))

    def finish(self) -> SplitEntry:
        """Write the last sample and close the last shard."""
        self._writer.write(self._packer.finish())
        self._writer.close()
        shards = tuple(
            ShardEntry(
                file=f"{self._folder.name}/{path.name}", num_samples=num_samples, md5=md5_of(path)
            )
            for path, num_samples in zip(self._writer.paths, self._writer.num_samples, strict=True)
        )
        return SplitEntry(
            num_documents=self.num_documents,
            num_tokens=int(self.token_counts.sum()),
            num_samples=sum(shard.num_samples for shard in shards),
            max_token_id=self._writer.max_token_id,
            shards=shards,
        )


def unigram_loss(train_counts: npt.NDArray[np.int64], val_counts: npt.NDArray[np.int64]) -> float:
    """Nats per validation token under the add-one-smoothed distribution of the train tokens.

    Args:
        train_counts: int64 [vocab_size].
        val_counts: int64 [vocab_size], at least one token.
    """
    num_val_tokens = val_counts.sum()
    assert num_val_tokens > 0
    log_probabilities = np.log(train_counts + 1) - np.log(train_counts.sum() + len(train_counts))
    return float(-(val_counts * log_probabilities).sum() / num_val_tokens)
