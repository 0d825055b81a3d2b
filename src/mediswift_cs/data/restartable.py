"""A data loader that can be stopped and continued at any sample.

It follows cerebras-pytorch's restartable protocol, and keeps its state in the form of ModelZoo's
restartable loaders, so that either host continues a checkpoint of the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cerebras.pytorch as cstorch
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mediswift_cs.errors import CheckpointError

STATE_VERSION = 1


class PaddedDataset(Dataset[Any]):
    """Gives a padding sample where the sampler asks for one to fill up the last batch."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int):
            return self.dataset.padding_sample()
        return self.dataset[index]


class RowsOfBatches(Sampler[list[Any]]):
    """Some rows of each batch of a sampler; all of them unless told otherwise."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.rows = slice(None)

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.sampler:
            yield batch[self.rows]

    def __len__(self) -> int:
        return len(self.sampler)


class RestartableDataLoader(DataLoader[Any]):
    """Batches in an order that depends on the seed and on nothing else.

    Its position is the number of samples that were streamed, over all workers and systems.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        identity: Mapping[str, Any],
        batch_size: int,
        shuffle: bool,
        shuffle_seed: int | None,
        drop_last: bool,
        **kwargs: Any,
    ) -> None:
        """``identity`` is what must be the same when a run continues: flat, of plain values."""
        # A CS-2 graph has one batch shape: the tail of an evaluation set is filled up with
        # samples whose loss mask is zero.
        pad_last = not drop_last and cstorch.use_cs()
        sampler = cstorch.utils.data.DistributedSampler(
            dataset,
            shuffle=shuffle,
            seed=shuffle_seed,
            batch_size=batch_size,
            drop_last=drop_last,
            pad_last=pad_last,
        )
        # Torch draws a seed for the workers from the global generator at each start; a generator of
        # its own keeps dropout the same in a run that was interrupted and in one that was not.
        generator = torch.Generator()
        generator.manual_seed(shuffle_seed or 0)
        super().__init__(
            PaddedDataset(dataset),
            batch_sampler=RowsOfBatches(sampler),
            generator=generator,
            **kwargs,
        )
        self.identity = dict(identity)
        self._previous_samples_streamed = 0

    def take_rows(self, first: int, last: int) -> None:
        """Give the rows from ``first`` up to ``last``, not included, of each batch only.

        Positions go on counting the samples of whole batches.
        """
        assert isinstance(self.batch_sampler, RowsOfBatches)
        self.batch_sampler.rows = slice(first, last)

    def position(self, samples_streamed: int) -> dict[str, Any]:
        """The state after ``samples_streamed`` samples of the whole run."""
        return {
            "samples_streamed": samples_streamed,
            "__version__": STATE_VERSION,
            "dataset": self.identity,
        }

    def state_dict(self) -> dict[str, Any]:
        """The share of one worker in the position."""
        worker = cstorch.distributed.get_worker_state()
        return {
            "samples_streamed": worker.samples_streamed,
            "previous_samples_streamed": self._previous_samples_streamed,
        }

    def aggregate_state_dict(self, worker_states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The position of the run from the states of all workers."""
        streamed = sum(int(state["samples_streamed"]) for state in worker_states)
        return self.position(int(worker_states[0]["previous_samples_streamed"]) + streamed)

    def deaggregate_state_dict(
        self, aggregated_state_dict: dict[str, Any], strict: bool = True
    ) -> dict[str, Any]:
        """Every worker starts from the position of the whole run."""
        return aggregated_state_dict

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Continue at a saved position; CheckpointError if the data is not the same."""
        if "samples_streamed" not in state_dict:
            raise CheckpointError(
                "the data loader's state in the checkpoint has no samples_streamed"
            )
        saved = state_dict.get("dataset") or {}
        if strict:
            for key, value in self.identity.items():
                if key in saved and saved[key] != value:
                    raise CheckpointError(
                        f"the run continues on other data: {key} was {saved[key]!r} when the "
                        f"checkpoint was saved, got {value!r}; start with "
                        f"--checkpoint_path in a new --model_dir to train on other data"
                    )
        self._previous_samples_streamed = int(state_dict["samples_streamed"])
        assert isinstance(self.batch_sampler, RowsOfBatches)
        self.batch_sampler.sampler.set_state(self._previous_samples_streamed)
