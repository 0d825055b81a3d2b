"""A data loader that can be stopped and continued at any sample.

It keeps its state in the form of ModelZoo's restartable loaders, so that any host continues a
checkpoint of another.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from mediswift_cs.errors import CheckpointError
from mediswift_cs.storage.read import whole_number

STATE_VERSION = 1


def position(identity: Mapping[str, Any], samples_streamed: int) -> dict[str, Any]:
    """The state of a loader after ``samples_streamed`` samples of the whole run."""
    return {
        "samples_streamed": samples_streamed,
        "__version__": STATE_VERSION,
        "dataset": dict(identity),
    }


class RestartableDataLoader(DataLoader[Any]):
    """Batches in an order that depends on the seed and on nothing else.

    Its position is the number of samples that were streamed, over all workers and systems.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        order: Sampler[list[Any]],
        identity: Mapping[str, Any],
        seed: int,
        **kwargs: Any,
    ) -> None:
        """``order`` gives the samples of each batch, from the one that its ``set_state`` names.

        ``identity`` is what must be the same when a run continues: flat, of plain values.
        """
        # Torch draws a seed for the workers from the global generator at each start; a generator of
        # its own keeps dropout the same in a run that was interrupted and in one that was not.
        generator = torch.Generator()
        generator.manual_seed(seed)
        super().__init__(dataset, batch_sampler=order, generator=generator, **kwargs)
        self.order: Any = order
        self.identity = dict(identity)
        self._previous_samples_streamed = 0

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Continue at a saved position; CheckpointError if the data is not the same."""
        where = "the data loader's state in the checkpoint"
        if not isinstance(state_dict, Mapping):
            raise CheckpointError(f"{where}: got {state_dict!r:.80}, allowed: a mapping")
        streamed = whole_number(state_dict, "samples_streamed", where, CheckpointError)
        if streamed is None:
            raise CheckpointError(f"{where} has no samples_streamed")
        saved = state_dict.get("dataset") or {}
        if not isinstance(saved, Mapping):
            raise CheckpointError(f"dataset in {where}: got {saved!r:.80}, allowed: a mapping")
        if strict:
            for key, value in self.identity.items():
                if key in saved and saved[key] != value:
                    raise CheckpointError(
                        f"the run continues on other data: {key} was {saved[key]!r:.80} when the "
                        f"checkpoint was saved, got {value!r}; start with "
                        f"--checkpoint_path in a new --model_dir to train on other data"
                    )
        self._previous_samples_streamed = streamed
        self.order.set_state(streamed)
