"""Small checkpoints, written by cerebras-pytorch itself where it is installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from mediswift_cs.checkpoints.convert import ConvertOptions
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.training import mdl_state

VOCAB_SIZE, NUM_VIRTUAL_TOKENS = 320, 3
SECTION: dict[str, Any] = {
    "name": "mediswift",
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 4,
    "filter_size": 96,
    "max_position_embeddings": 160,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
UNVERIFIED = ConvertOptions(has_tokenizer=False, verify=False)


def build_decoder(**changes: Any) -> DecoderLanguageModel:
    """A decoder whose numbers are large enough for differences to show."""
    torch.manual_seed(3)
    model = DecoderLanguageModel(ModelParams(**{**SECTION, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def state_of(model: DecoderLanguageModel) -> dict[str, torch.Tensor]:
    """The model's entries of a checkpoint."""
    return {f"model.{key}": value.detach() for key, value in model.state_dict().items()}


def is_sparse_weight(key: str) -> bool:
    return ".layers." in key and key.endswith("_layer.weight")


def add_masks(state: dict[str, torch.Tensor], *, fold: bool, sparsity: float = 0.75) -> None:
    """Random masks; with ``fold`` the zeros are in the weights already, as after a first step."""
    generator = torch.Generator().manual_seed(5)
    for key in [key for key in state if is_sparse_weight(key)]:
        mask = torch.rand(state[key].shape, generator=generator) >= sparsity
        state[f"{key}_mask"] = mask
        if fold:
            # Leaves -0.0 behind, as cerebras-pytorch's multiplication does.
            state[key] = state[key] * mask


def write_mdl(content: dict[str, Any], path: Path) -> None:
    """Compressed by cerebras-pytorch, or uncompressed by our loop."""
    if find_spec("cerebras") is None:
        mdl_state.write(content, path)
        return
    import cerebras.pytorch as cstorch

    cstorch.save(content, str(path))


def save(
    path: Path,
    state: dict[str, torch.Tensor],
    section: dict[str, Any] | None = None,
    *,
    params: dict[str, Any] | None = None,
    **own: Any,
) -> Path:
    """Write ``state`` as our loop does, with ``params`` or with a model section alone."""
    metadata = {
        "version": "2.10.0",
        "model_name": "MediSwiftModel",
        "params": params or {"trainer": {"init": {"model": {**SECTION, **(section or {})}}}},
    }
    content = {
        "model": state,
        "global_step": 400,
        "mediswift": {"version": "0", "rng_state": torch.get_rng_state(), **own},
        "__metadata__": [metadata],
    }
    write_mdl(content, path)
    return path


def load_model(path: Path) -> dict[str, torch.Tensor]:
    """The model part of a checkpoint, by cerebras-pytorch where it is installed."""
    if find_spec("cerebras") is None:
        return dict(mdl_state.read(path)["model"])
    import cerebras.pytorch as cstorch

    return {k: v.detach().clone() for k, v in cstorch.load(str(path))["model"].items()}


def bits_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equality that tells 0 from -0 and lets NaN equal itself."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and (one.contiguous().view(torch.uint8).equal(other.contiguous().view(torch.uint8)))
    )
