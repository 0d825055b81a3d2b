"""A Hugging Face GPT-2 folder as a model of ours, without a checkpoint file in between."""

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from mediswift_cs.checkpoints.blocks import Place
from mediswift_cs.checkpoints.hf_folder import HuggingFaceModel
from mediswift_cs.checkpoints.restore import new_state, restore_blocks
from mediswift_cs.errors import CheckpointError
from mediswift_cs.evaluation.loading import LoadedModel, loaded
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.progress import progress


def load_hf_model(folder: HuggingFaceModel) -> LoadedModel:
    """The model in float32, as ``mediswift convert`` would turn it into a ``.mdl`` file.

    Raises:
        CheckpointError: it is none that our decoder can be, or has numbers that are not finite.
    """
    noted = folder.own.get("tokenizer_sha256")
    state = new_state(folder, dtype="float32", tokenizer_sha256=noted)
    config = _config(folder)
    weights: dict[str, Tensor] = {}
    places: dict[str, Place] = {}
    for name, tensor in state["model"].items():
        # The exported weights have been masked.
        if not name.endswith(MASK_SUFFIX):
            weights[name] = torch.empty(tensor.shape)
        places[name] = Place(path=Path(name), offset=0, dtype=tensor.dtype)
    blocks = restore_blocks(folder, places, [], allow_nan=False)
    for block in progress("load", "blocks", blocks, stays=False):
        if (target := weights.get(str(block.path))) is not None:
            start = block.offset // target.element_size()
            numbers = torch.from_numpy(block.numbers.reshape(-1).copy())
            target.view(-1)[start : start + len(numbers)] = numbers
    return loaded({**state, "model": weights}, config, folder.folder)


def _config(folder: HuggingFaceModel) -> ModelParams:
    section: dict[str, Any] = folder.architecture.folded.to_model_params()
    prompt = folder.soft_prompt
    if prompt is not None:
        section["soft_prompt"] = {
            "num_virtual_tokens": prompt.num_virtual_tokens,
            "position": prompt.position,
        }
    try:
        return ModelParams(name="mediswift_finetuning", **section)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CheckpointError(
            f"{first['loc'][0]} of the model in {folder.folder}: got {first['input']!r:.80}, "
            f"allowed: what our decoder has ({first['msg']})"
        ) from error
