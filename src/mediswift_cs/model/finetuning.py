"""The fine-tuning model: the decoder with an optional soft prompt, started from a checkpoint."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mediswift_cs.model.pretraining import EvalMetrics, MediSwiftModel
from mediswift_cs.model.starting_weights import SOFT_PROMPT_KEY, starting_weights
from mediswift_cs.params.schema import ModelParams

LOGGER = logging.getLogger("mediswift_cs")


class MediSwiftFineTuningModel(MediSwiftModel):
    """A MediSwiftModel that may train its soft prompt alone, and that takes sparse checkpoints."""

    def __init__(self, config: ModelParams, eval_metrics: EvalMetrics | None = None) -> None:
        super().__init__(config, eval_metrics)
        if config.trainable == "soft_prompt":
            assert config.soft_prompt is not None
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name == SOFT_PROMPT_KEY)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights; masks that this model does not have are applied and dropped.

        A soft prompt that the state does not have is initialised as the params say. Everything
        else must match where ``strict``. This is where another host, such as ModelZoo's Trainer,
        starts a dense run from a sparse checkpoint.
        """
        start = starting_weights(self, state_dict)
        for line in start.describe():
            LOGGER.info("%s", line)
        return super().load_state_dict(start.state, strict=strict, assign=assign)

    @property
    def soft_prompt(self) -> Tensor | None:
        """[num_virtual_tokens, hidden_size], or None."""
        prompt = self.model.soft_prompt
        return None if prompt is None else prompt.weight


def build_model(config: ModelParams, eval_metrics: EvalMetrics | None = None) -> MediSwiftModel:
    """The model that ``trainer.init.model.name`` names."""
    if config.name == "mediswift_finetuning":
        return MediSwiftFineTuningModel(config, eval_metrics)
    return MediSwiftModel(config, eval_metrics)
