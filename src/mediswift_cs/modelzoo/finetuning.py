"""The fine-tuning model and its data processor, in the form that ModelZoo instantiates."""

from typing import Any, Literal

import cerebras.pytorch as cstorch
from cerebras.modelzoo.config import DataConfig, ModelConfig
from pydantic import PrivateAttr

from mediswift_cs.data import prompts as data
from mediswift_cs.model import finetuning as model
from mediswift_cs.params.schema import DataLoaderParams, ModelParams
from mediswift_cs.training.hosts.cerebras.session import EvaluationMetrics, prepare_for_csx


class MediSwiftFineTuningModelConfig(ModelParams, ModelConfig):
    """``trainer.init.model`` with the name mediswift_finetuning."""

    name: Literal["mediswift_finetuning"]


class MediSwiftFineTuningModel(model.MediSwiftFineTuningModel):
    """The decoder with an optional soft prompt; it starts from sparse checkpoints as well."""

    def __init__(self, config: MediSwiftFineTuningModelConfig) -> None:
        super().__init__(config, EvaluationMetrics() if config.compute_eval_metrics else None)
        if cstorch.use_cs():
            prepare_for_csx(self)


class MediSwiftPromptDataProcessorConfig(DataLoaderParams, DataConfig):
    """A dataloader section that names MediSwiftPromptDataProcessor."""

    data_processor: Literal["MediSwiftPromptDataProcessor"]
    _model: ModelParams | None = PrivateAttr(default=None)

    def post_init(self, context: dict[str, Any]) -> None:
        """ModelZoo tells here which model the data are for."""
        super().post_init(context)
        self._model = context.get("model", {}).get("config")


class MediSwiftPromptDataProcessor(data.MediSwiftPromptDataProcessor):
    """Shards of task examples; they must be made for the soft prompt of the model."""

    def __init__(self, config: MediSwiftPromptDataProcessorConfig) -> None:
        super().__init__(config)
        if config._model is not None:
            self.check_model(config._model)
