"""``train_dataloader`` and ``val_dataloader``: HDF5 shards of packed sequences.

Names and defaults are those of ModelZoo 2.10 (data/common/h5_map_dataset/dataset.py and
data/nlp/gpt/GptHDF5MapDataProcessor.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Le
from pydantic import Field

from mediswift_cs.params.section import Count, Flag, PathText, PositiveCount, Section
from mediswift_cs.sizes import MAX_SEQUENCE_LENGTH

OUR_PROCESSOR = "MediSwiftPretrainingDataProcessor"
PROMPT_PROCESSOR = "MediSwiftPromptDataProcessor"

# These keep a mistyped number from filling memory or the table of processes.
MAX_BATCH = 2**20
MAX_NUM_WORKERS = 1024

# ModelZoo's further keys, each with the values at which they change nothing.
NOT_COVERED: dict[str, tuple[Any, ...]] = {
    "data_subset": (None,),
    "data_transforms": (None,),
    "dataset_map_fn": (None,),
    "features_list": (["input_ids", "attention_mask", "labels"],),
    "mixture": (None,),
    "num_samples": (None,),
    "pad_last": (False,),
    "repeat": (None, True),
    "shuffle_buffer": (None,),
    "sort_files": (True,),
    "use_multiple_workers": (None, False),
    "use_vsl": (False,),
    "use_worker_cache": (False,),
    "vocab_size": (None,),
}


class DataLoaderParams(Section):
    """Where the shards are and how they are batched."""

    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = NOT_COVERED
    ours: ClassVar[frozenset[str]] = frozenset({"tokenizer_sha256"})

    data_processor: Literal[
        "MediSwiftPretrainingDataProcessor",
        "MediSwiftPromptDataProcessor",
        "GptHDF5MapDataProcessor",
        "GptHDF5DataProcessor",
    ]
    """The class that reads the shards; the prompts of fine-tuning need ours."""
    data_dir: PathText | list[PathText]
    """Folders of .h5 shards, relative to the working directory."""
    batch_size: Annotated[PositiveCount, Le(MAX_BATCH)]
    """Sequences an optimizer step, over all systems (before gradient accumulation)."""
    shuffle: Flag = False
    """Whether the samples come in another order each epoch."""
    shuffle_seed: Count | None = 0
    """Draws the order of the samples; None only where nothing is shuffled."""
    drop_last: Flag = True
    """Whether an incomplete last batch is left out."""
    num_workers: Annotated[Count, Le(MAX_NUM_WORKERS)] = 0
    """Processes that read batches ahead; 0: the training process reads them itself."""
    prefetch_factor: PositiveCount | None = 10
    """Batches that each worker reads ahead; used with num_workers > 0 only."""
    persistent_workers: Flag = True
    """Whether those processes stay from epoch to epoch."""
    max_sequence_length: Annotated[PositiveCount, Le(MAX_SEQUENCE_LENGTH)] | None = None
    """Tokens a sequence; None takes the length that the shards have."""
    tokenizer_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Fingerprint that the shards' tokenizer must have; None checks nothing."""

    @property
    def data_dirs(self) -> list[str]:
        """data_dir as a list."""
        return [self.data_dir] if isinstance(self.data_dir, str) else self.data_dir

    @property
    def is_there(self) -> bool:
        """Whether every folder exists on this machine."""
        return all(Path(folder).is_dir() for folder in self.data_dirs)
