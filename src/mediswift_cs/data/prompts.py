"""The data processor of task examples: prompt shards in, batches out."""

from typing import Any

import h5py

from mediswift_cs.data.pretraining import MediSwiftPretrainingDataProcessor
from mediswift_cs.errors import DataError
from mediswift_cs.params.data_rules import prompt_disagreements
from mediswift_cs.params.schema import DataLoaderParams, ModelParams
from mediswift_cs.tokens.hdf5 import whole_attribute
from mediswift_cs.tokens.manifest import TASK_COMMANDS

# HDF5 attributes of prompt shards, as mediswift_cs.tasks.prompt_data writes them.
ATTRIBUTES = ("vocab_size", "num_virtual_tokens", "soft_prompt_position")


class MediSwiftPromptDataProcessor(MediSwiftPretrainingDataProcessor):
    """Batches of int32 ``input_ids``, ``attention_mask`` (the loss mask) and ``labels``.

    One example a row, padded at the end, each [batch_size, length]. Ids from vocab_size on stand
    for the soft prompt. DataError for shards that do not say how they place one.
    """

    def __init__(self, config: DataLoaderParams) -> None:
        super().__init__(config)
        layouts = {path: self._layout(path) for path in self.paths}
        self.layout = layouts[self.paths[0]]
        for path, layout in layouts.items():
            if layout != self.layout:
                raise DataError(
                    f"prompt shards of one data set must agree in {', '.join(ATTRIBUTES)}, got "
                    f"{layout} in {path} and {self.layout} in {self.paths[0]}"
                )

    @staticmethod
    def _layout(path: Any) -> dict[str, Any]:
        with h5py.File(path, "r") as file:
            missing = [name for name in ATTRIBUTES if name not in file.attrs]
            if missing:
                raise DataError(
                    f"{path} is no shard of task examples, got no attribute {missing[0]!r}: "
                    f"prepare the data with {TASK_COMMANDS}"
                )
            return {
                "vocab_size": whole_attribute(file, "vocab_size"),
                "num_virtual_tokens": whole_attribute(file, "num_virtual_tokens"),
                "position": str(file.attrs["soft_prompt_position"]),
            }

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the order of samples, and where the soft prompt lies in them."""
        return {**super().identity, **self.layout}

    def check_model(self, model: ModelParams) -> None:
        """Raise DataError unless the shards' virtual tokens are those of the model."""
        for key, got, allowed in prompt_disagreements(self.layout, model):
            raise DataError(
                f"the prompt shards must be made for the model's {key}, got {got}, allowed: "
                f"{allowed}, in {self.config.data_dir}"
            )
