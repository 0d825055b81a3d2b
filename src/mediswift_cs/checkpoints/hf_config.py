"""``config.json`` of transformers' GPT-2: what is read of it, and what is written."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mediswift_cs.checkpoints.architecture import (
    Architecture,
    Nonlinearity,
    NumLayers,
    NumPositions,
    PositiveRate,
    VocabSize,
    Width,
)
from mediswift_cs.checkpoints.typed import refuse_other_designs, typed
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.section import Flag, PositiveCount, Rate

# transformers' keys and ModelZoo's of the same meaning.
_KEYS = {
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_heads",
    "n_positions": "max_position_embeddings",
    "activation_function": "nonlinearity",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "tie_word_embeddings": "share_embedding_weights",
    "scale_attn_by_inverse_layer_idx": "scale_qk_dot_by_layer_idx",
    "resid_pdrop": "dropout_rate",
    "attn_pdrop": "attention_dropout_rate",
    "embd_pdrop": "embedding_dropout_rate",
    "initializer_range": "initializer_range",
}
# transformers' general names for GPT-2's own; a config may have either.
_SECOND_NAMES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
_COVERED: dict[str, tuple[Any, ...]] = {"position_embedding_type": ("learned", "absolute")}


class GPT2Settings(BaseModel):
    """What transformers' GPT-2 computes by, of its config; the defaults are transformers'.

    What is not here changes nothing (as the order of scaling in mixed precision), or is refused.
    """

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    model_type: Literal["gpt2"]
    vocab_size: VocabSize
    n_embd: Width
    n_layer: NumLayers
    n_head: PositiveCount
    n_positions: NumPositions
    n_inner: Width | None = None
    activation_function: Nonlinearity = "gelu_new"
    layer_norm_epsilon: PositiveRate = 1.0e-5
    tie_word_embeddings: Flag = True
    scale_attn_weights: Flag = True
    scale_attn_by_inverse_layer_idx: Flag = False
    reorder_and_upcast_attn: Flag = False
    resid_pdrop: Rate = 0.1
    attn_pdrop: Rate = 0.1
    embd_pdrop: Rate = 0.1
    initializer_range: PositiveRate = 0.02


def read_architecture(config: Mapping[str, Any], source: str) -> Architecture:
    """The decoder that a ``config.json`` describes.

    Args:
        source: the file, for an error.

    Raises:
        CheckpointError: another model's, a setting of another design, or a value that is missing
            or cannot be.
    """
    given = dict(config)
    for name, own in _SECOND_NAMES.items():
        if name in given and given.setdefault(own, given[name]) != given[name]:
            raise CheckpointError(
                f"{name} in {source}: got {given[name]!r:.80}, allowed: {given[own]!r:.80}, that "
                f"of {own}, which is the same"
            )
    # Configs from before n_positions was read.
    if "n_ctx" in given and given.get("n_positions") is None:
        given["n_positions"] = given["n_ctx"]
    refuse_other_designs(given, _COVERED, source)
    found = typed(GPT2Settings, given, source)
    sizes = {key: getattr(found, name) for name, key in _KEYS.items()} | {
        "filter_size": found.n_inner or 4 * found.n_embd,
        "attention_type": "scaled_dot_product" if found.scale_attn_weights else "dot_product",
    }
    return Architecture.of(sizes, source)


def describe_architecture(shape: Architecture, *, num_added_tokens: int = 0) -> dict[str, Any]:
    """The model part of a ``config.json``; added tokens enlarge the vocabulary."""
    same = {name: getattr(shape, key) for name, key in _KEYS.items()}
    # transformers has no "as the others" for a rate.
    rates = {n: shape.dropout_rate for n in ("attn_pdrop", "embd_pdrop") if same[n] is None}
    return {
        **same,
        **rates,
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size + num_added_tokens,
        "n_inner": shape.filter_size,
        "n_ctx": shape.max_position_embeddings,
        "scale_attn_weights": shape.attention_type == "scaled_dot_product",
    }
