"""The data loader as cerebras-pytorch and ModelZoo call it, on one machine and on a cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

import cerebras.pytorch as cstorch
from torch.utils.data import Dataset

from mediswift_cs.data.restartable import RestartableDataLoader, position


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


class ClusterDataLoader(RestartableDataLoader):
    """Follows cerebras-pytorch's restartable protocol; each worker streams its share."""

    def __init__(
        self,
        dataset: Any,
        *,
        identity: Mapping[str, Any],
        batch_size: int,
        shuffle: bool,
        seed: int,
        drop_last: bool,
        **kwargs: Any,
    ) -> None:
        # A CS-2 graph has one batch shape: the tail of an evaluation set is filled up with
        # samples whose loss mask is zero.
        order = cstorch.utils.data.DistributedSampler(
            dataset,
            shuffle=shuffle,
            seed=seed,
            batch_size=batch_size,
            drop_last=drop_last,
            pad_last=not drop_last and cstorch.use_cs(),
        )
        super().__init__(
            PaddedDataset(dataset), order=order, identity=identity, seed=seed, **kwargs
        )

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
        previous = int(worker_states[0]["previous_samples_streamed"])
        return position(self.identity, previous + streamed)

    def deaggregate_state_dict(
        self, aggregated_state_dict: dict[str, Any], strict: bool = True
    ) -> dict[str, Any]:
        """Every worker starts from the position of the whole run."""
        return aggregated_state_dict
