"""Shards of the right shape in the place of data that is not there."""

from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs.params.dataloader import PROMPT_PROCESSOR
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.tokens.hdf5 import ShardWriter


def write_stand_in_shards(folder: Path, loader: DataLoaderParams, params: Params) -> Path:
    """Write one batch and one sample more, so that the last batch is an incomplete one.

    A graph depends on shapes and number formats only: every token is 0.
    """
    model = params.trainer.init.model
    length = loader.max_sequence_length or model.max_position_embeddings
    attributes: dict[str, Any] = {"vocab_size": model.vocab_size}
    if loader.tokenizer_sha256 is not None:
        attributes["tokenizer_sha256"] = loader.tokenizer_sha256
    if loader.data_processor == PROMPT_PROCESSOR:
        prompt = model.soft_prompt
        attributes["num_virtual_tokens"] = 0 if prompt is None else prompt.num_virtual_tokens
        attributes["soft_prompt_position"] = "prefix" if prompt is None else prompt.position
    folder.mkdir(parents=True, exist_ok=True)
    num_samples = loader.batch_size + 1
    writer = ShardWriter(
        folder,
        max_sequence_length=length,
        samples_per_shard=num_samples,
        attributes=attributes,
    )
    samples = np.zeros((num_samples, 3, length), dtype=np.int32)
    samples[:, 1] = 1
    writer.write(samples)
    writer.close()
    return folder
