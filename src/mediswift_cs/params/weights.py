"""Every parameter of the decoder by name and shape, in closed form: no torch needed.

The names are ModelZoo 2.10's state-dict keys of GPT-2 and GPT-3.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    # The model's schema needs pydantic, whose import takes half the time of an inspection.
    from mediswift_cs.params.decoder import ModelParams

# Of the mask of a sparse weight, which the state dict holds beside it.
MASK_SUFFIX = "_mask"

Kind = Literal["embedding", "norm", "bias", "projection", "head", "soft prompt"]


class Weight(NamedTuple):
    """One tensor of the state dict."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    """Which part of the model; only projections may be sparse."""
    is_alias: bool = False
    """The same tensor as an earlier one, under a second name."""


def weights(model: "ModelParams") -> Iterator[Weight]:
    """Every key of the model's state dict, in its order (masks of sparse weights left out)."""
    width = model.hidden_size
    embedding = "model.embedding_layer"
    yield Weight(f"{embedding}.word_embeddings.weight", (model.vocab_size, width), "embedding")
    yield Weight(
        f"{embedding}.position_embeddings.embed.weight",
        (model.max_position_embeddings, width),
        "embedding",
    )
    for index in range(model.num_hidden_layers):
        yield from _layer(model, f"model.transformer_decoder.layers.{index}")
    yield from _norm("model.transformer_decoder.norm", width)
    for weight in _norm("model.ln_f", width):
        yield weight._replace(is_alias=True)
    tied = model.share_embedding_weights
    yield Weight("model.lm_head.weight", (model.vocab_size, width), "head", is_alias=tied)
    if model.use_bias_in_output:
        yield Weight("model.lm_head.bias", (model.vocab_size,), "bias")
    if model.soft_prompt is not None:
        num_rows = model.soft_prompt.num_virtual_tokens
        yield Weight("model.soft_prompt.weight", (num_rows, width), "soft prompt")


def num_parameters(model: "ModelParams") -> int:
    """The number of parameters, tied ones counted once."""
    return sum(prod(weight.shape) for weight in weights(model) if not weight.is_alias)


def matching(pattern: str, among: Iterable[Weight]) -> list[Weight]:
    """The weights that a glob names, as in cerebras.pytorch.sparse.Group.

    The whole name has to fit, with the case it has.
    """
    fits = re.compile(fnmatch.translate(pattern)).match
    return [weight for weight in among if fits(weight.name)]


def _layer(model: "ModelParams", prefix: str) -> Iterator[Weight]:
    width, inner = model.hidden_size, model.filter_size
    attention = f"{prefix}.self_attn"
    for name in ("proj_q", "proj_k", "proj_v"):
        bias = model.use_projection_bias_in_attention
        yield from _linear(f"{attention}.{name}_dense_layer", width, width, bias)
    bias = model.use_ffn_bias_in_attention
    yield from _linear(f"{attention}.proj_output_dense_layer", width, width, bias)
    yield from _norm(f"{prefix}.norm1", width)
    yield from _norm(f"{prefix}.norm3", width)
    yield from _linear(f"{prefix}.ffn.ffn.0.linear_layer", width, inner, model.use_ffn_bias)
    yield from _linear(f"{prefix}.ffn.ffn.1.linear_layer", inner, width, model.use_ffn_bias)


def _linear(prefix: str, in_features: int, out_features: int, bias: bool) -> Iterator[Weight]:
    yield Weight(f"{prefix}.weight", (out_features, in_features), "projection")
    if bias:
        yield Weight(f"{prefix}.bias", (out_features,), "bias")


def _norm(prefix: str, width: int) -> Iterator[Weight]:
    yield Weight(f"{prefix}.weight", (width,), "norm")
    yield Weight(f"{prefix}.bias", (width,), "norm")
