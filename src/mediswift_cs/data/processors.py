"""The data processor that a params file names."""

from typing import TYPE_CHECKING, Any

from mediswift_cs.data.pretraining import MediSwiftPretrainingDataProcessor
from mediswift_cs.data.prompts import MediSwiftPromptDataProcessor
from mediswift_cs.params.dataloader import PROMPT_PROCESSOR
from mediswift_cs.params.schema import DataLoaderParams

if TYPE_CHECKING:
    from mediswift_cs.data.cluster import ClusterDataLoader


def make_processor(config: DataLoaderParams) -> MediSwiftPretrainingDataProcessor:
    """ModelZoo's GPT processors read what the pre-training one reads."""
    if config.data_processor == PROMPT_PROCESSOR:
        return MediSwiftPromptDataProcessor(config)
    return MediSwiftPretrainingDataProcessor(config)


def create_dataloader(config: dict[str, Any]) -> "ClusterDataLoader":
    """The input function that a cluster's workers import; ``config`` is plain data."""
    return make_processor(DataLoaderParams(**config)).create_dataloader()
