"""The pre-training data processor: shards in, shuffled and resumable batches out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediswift_cs.data.hdf5_dataset import HDF5Dataset
from mediswift_cs.data.order import SampleOrder
from mediswift_cs.data.restartable import RestartableDataLoader
from mediswift_cs.errors import DataError
from mediswift_cs.params.schema import DataLoaderParams
from mediswift_cs.tokens.hdf5 import read_shard_info
from mediswift_cs.tokens.manifest import shard_paths

if TYPE_CHECKING:
    from mediswift_cs.data.cluster import ClusterDataLoader


class MediSwiftPretrainingDataProcessor:
    """Batches of int32 ``input_ids``, ``attention_mask`` (the loss mask) and ``labels``.

    Each is [batch_size, length]. The order depends on ``shuffle_seed`` only, for any number of
    workers. DataError if the shards' length or tokenizer is not the one that the params name.
    """

    def __init__(self, config: DataLoaderParams) -> None:
        self.config = config
        self.paths = shard_paths([Path(folder) for folder in config.data_dirs])
        self.dataset = HDF5Dataset(self.paths)
        self.tokenizer_sha256 = self._check_tokenizer()
        if config.max_sequence_length not in (None, self.dataset.length):
            raise DataError(
                f"the shards' sequence length must be max_sequence_length, got "
                f"{self.dataset.length}, allowed: {config.max_sequence_length}, "
                f"in {config.data_dir}"
            )
        if config.drop_last and len(self.dataset) < config.batch_size:
            raise DataError(
                f"batch_size must not exceed the number of samples, got {config.batch_size}, "
                f"allowed: at most {len(self.dataset)}, in {config.data_dir}"
            )

    def _check_tokenizer(self) -> str | None:
        """The fingerprint that all shards share, None for shards of other tools."""
        expected = self.config.tokenizer_sha256
        found = {path: read_shard_info(path).tokenizer_sha256 for path in self.paths}
        first = expected or found[self.paths[0]]
        for path, fingerprint in found.items():
            if fingerprint != first:
                raise DataError(
                    f"the shards must be made with one tokenizer, the one of tokenizer_sha256: "
                    f"got {fingerprint}, allowed: {first}, in {path}"
                )
        return first

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the order of samples: the same values give the same batches."""
        return {
            "num_samples": len(self.dataset),
            "max_sequence_length": self.dataset.length,
            "tokenizer_sha256": self.tokenizer_sha256,
            "shuffle": self.config.shuffle,
            "shuffle_seed": self.config.shuffle_seed,
        }

    def create_dataloader(self) -> "ClusterDataLoader":
        """A loader at the first sample, as cerebras-pytorch and ModelZoo ask for it."""
        from mediswift_cs.data.cluster import ClusterDataLoader

        return ClusterDataLoader(
            self.dataset, identity=self.identity, **self._order, **self._workers
        )

    def create_local_dataloader(self) -> RestartableDataLoader:
        """A loader at the first sample for a host without Cerebras, with the same order."""
        order = SampleOrder(len(self.dataset), **self._order)
        return RestartableDataLoader(
            self.dataset,
            order=order,
            identity=self.identity,
            seed=order.seed,
            **self._workers,
        )

    @property
    def _order(self) -> dict[str, Any]:
        config = self.config
        return {
            "batch_size": config.batch_size,
            "shuffle": config.shuffle,
            "seed": config.shuffle_seed or 0,
            "drop_last": config.drop_last,
        }

    @property
    def _workers(self) -> dict[str, Any]:
        names = ("num_workers", "prefetch_factor", "persistent_workers")
        return {name: getattr(self.config, name) for name in names if self.config.num_workers}
