"""The models and their data processors, in the form that ModelZoo instantiates.

ModelZoo reads the type of the one argument ``config`` and fills it from the params file, so each
class here has a configuration class that is ours and of ModelZoo's family at once: the fields,
defaults and checks are inherited, none is written twice.
"""

from typing import Any, Literal

import cerebras.pytorch as cstorch
from cerebras.modelzoo.common.utils.model.mup_utils import LRAdjustmentGroup
from cerebras.modelzoo.config import DataConfig, ModelConfig
from pydantic import PrivateAttr

from mediswift_cs.data import pretraining as pretraining_data
from mediswift_cs.data import prompts as prompt_data
from mediswift_cs.model import finetuning, pretraining
from mediswift_cs.params.schema import DataLoaderParams, ModelParams
from mediswift_cs.training.hosts.cerebras import dynamic_sparsity
from mediswift_cs.training.hosts.cerebras.session import EvaluationMetrics, prepare_for_csx
from mediswift_cs.training.parameter_groups import ADJUSTED_WEIGHTS


class _InModelZoo(pretraining.MediSwiftModel):
    """ModelZoo finds the metrics of an evaluation among the modules of the model."""

    def __init__(self, config: ModelParams) -> None:
        super().__init__(config, EvaluationMetrics() if config.compute_eval_metrics else None)
        # What adjust_learning_rate may name; ModelZoo's trainer looks for it here.
        self.lr_adjustment_groups = {
            name: LRAdjustmentGroup(list(patterns)) for name, patterns in ADJUSTED_WEIGHTS.items()
        }
        # Before the masks are made, which is after the model.
        dynamic_sparsity.mend()
        if cstorch.use_cs():
            prepare_for_csx(self)


class MediSwiftModelConfig(ModelParams, ModelConfig):
    """``trainer.init.model`` with the name mediswift."""

    name: Literal["mediswift"]


class MediSwiftModel(_InModelZoo):
    """The pre-training model."""

    def __init__(self, config: MediSwiftModelConfig) -> None:
        super().__init__(config)


class MediSwiftPretrainingDataProcessorConfig(DataLoaderParams, DataConfig):
    """A dataloader section that names MediSwiftPretrainingDataProcessor."""

    data_processor: Literal["MediSwiftPretrainingDataProcessor"]


class MediSwiftPretrainingDataProcessor(pretraining_data.MediSwiftPretrainingDataProcessor):
    """Shards of packed sequences; ModelZoo calls create_dataloader."""

    def __init__(self, config: MediSwiftPretrainingDataProcessorConfig) -> None:
        super().__init__(config)


class MediSwiftFineTuningModelConfig(ModelParams, ModelConfig):
    """``trainer.init.model`` with the name mediswift_finetuning."""

    name: Literal["mediswift_finetuning"]


class MediSwiftFineTuningModel(_InModelZoo, finetuning.MediSwiftFineTuningModel):
    """The decoder with an optional soft prompt; it starts from sparse checkpoints as well."""

    def __init__(self, config: MediSwiftFineTuningModelConfig) -> None:
        super().__init__(config)


class MediSwiftPromptDataProcessorConfig(DataLoaderParams, DataConfig):
    """A dataloader section that names MediSwiftPromptDataProcessor."""

    data_processor: Literal["MediSwiftPromptDataProcessor"]
    _model: ModelParams | None = PrivateAttr(default=None)

    def post_init(self, context: dict[str, Any]) -> None:
        """ModelZoo tells here which model the data are for."""
        super().post_init(context)
        self._model = context.get("model", {}).get("config")


class MediSwiftPromptDataProcessor(prompt_data.MediSwiftPromptDataProcessor):
    """Shards of task examples; they must be made for the soft prompt of the model."""

    def __init__(self, config: MediSwiftPromptDataProcessorConfig) -> None:
        super().__init__(config)
        if config._model is not None:
            self.check_model(config._model)
