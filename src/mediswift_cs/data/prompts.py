"""The data processor of task examples: prompt shards in, batches out."""

from pathlib import Path
from typing import Any

from mediswift_cs.data.pretraining import MediSwiftPretrainingDataProcessor
from mediswift_cs.errors import DataError
from mediswift_cs.params.data_rules import prompt_disagreements
from mediswift_cs.params.schema import DataLoaderParams, ModelParams
from mediswift_cs.tokens.hdf5 import read_shard_info
from mediswift_cs.tokens.manifest import TASK_COMMANDS


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
                    f"prompt shards of one data set must agree in {', '.join(layout)}, got "
                    f"{layout} in {path} and {self.layout} in {self.paths[0]}"
                )

    @staticmethod
    def _layout(path: Path) -> dict[str, int | str]:
        layout = read_shard_info(path).prompt or {"num_virtual_tokens": None}
        missing = [name for name, value in layout.items() if value is None]
        if missing:
            raise DataError(
                f"{path} is no shard of task examples, which does not say its {missing[0]}: "
                f"prepare the data with {TASK_COMMANDS}"
            )
        return layout

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
