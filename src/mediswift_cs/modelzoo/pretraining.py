"""The pre-training model and its data processor, in the form that ModelZoo instantiates.

ModelZoo reads the type of the one argument ``config`` and fills it from the params file, so each
class here has a configuration class that is ours and of ModelZoo's family at once: the fields,
defaults and checks are inherited, none is written twice.
"""

from typing import Literal

import cerebras.pytorch as cstorch
from cerebras.modelzoo.config import DataConfig, ModelConfig

from mediswift_cs.data import pretraining as data
from mediswift_cs.model import pretraining as model
from mediswift_cs.params.schema import DataLoaderParams, ModelParams
from mediswift_cs.training.hosts.cerebras.session import EvaluationMetrics, prepare_for_csx


class MediSwiftModelConfig(ModelParams, ModelConfig):
    """``trainer.init.model`` with the name mediswift."""

    name: Literal["mediswift"]


class MediSwiftModel(model.MediSwiftModel):
    """The pre-training model; ModelZoo finds the metrics of an evaluation among its modules."""

    def __init__(self, config: MediSwiftModelConfig) -> None:
        super().__init__(config, EvaluationMetrics() if config.compute_eval_metrics else None)
        if cstorch.use_cs():
            prepare_for_csx(self)


class MediSwiftPretrainingDataProcessorConfig(DataLoaderParams, DataConfig):
    """A dataloader section that names MediSwiftPretrainingDataProcessor."""

    data_processor: Literal["MediSwiftPretrainingDataProcessor"]


class MediSwiftPretrainingDataProcessor(data.MediSwiftPretrainingDataProcessor):
    """Shards of packed sequences; ModelZoo calls create_dataloader."""

    def __init__(self, config: MediSwiftPretrainingDataProcessorConfig) -> None:
        super().__init__(config)
