"""The shape of a decoder, read from a checkpoint, a params file or a Hugging Face config."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from mediswift_cs.checkpoints.mdl import StoredTensor
from mediswift_cs.errors import CheckpointError

WORD_EMBEDDINGS = "embedding_layer.word_embeddings.weight"
POSITION_EMBEDDINGS = "embedding_layer.position_embeddings.embed.weight"
LAYERS = "transformer_decoder.layers"

# Names that ModelZoo and transformers give to the same function.
NONLINEARITIES = ("gelu", "gelu_new", "gelu_fast", "quick_gelu", "relu", "silu", "tanh")

# Settings of a Hugging Face GPT-2 config that change what it computes, with what is covered.
_HF_ONLY = {
    "model_type": ("gpt2",),
    "add_cross_attention": (False,),
    "scale_attn_by_inverse_layer_idx": (False,),
    # Numerics of mixed precision only: the order in which queries are scaled.
    "reorder_and_upcast_attn": (False, True),
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A GPT-2/3 decoder in ModelZoo's names; the defaults are ModelZoo's."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_heads: int
    filter_size: int
    max_position_embeddings: int
    share_embedding_weights: bool = True
    layer_norm_epsilon: float = 1.0e-5
    nonlinearity: str = "gelu"
    attention_type: str = "scaled_dot_product"
    use_projection_bias_in_attention: bool = True
    use_ffn_bias_in_attention: bool = True
    use_ffn_bias: bool = True
    dropout_rate: float = 0.1
    attention_dropout_rate: float | None = 0.1
    embedding_dropout_rate: float | None = None
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.num_heads < 1 or self.hidden_size % self.num_heads:
            raise CheckpointError(
                f"num_heads: got {self.num_heads}, "
                f"allowed: a divisor of hidden_size {self.hidden_size}"
            )

    @classmethod
    def from_checkpoint(
        cls, tensors: Mapping[str, StoredTensor], model: Mapping[str, Any] | None, source: str
    ) -> Self:
        """From the shapes of a checkpoint's tensors and the ``model`` section of its params.

        Args:
            tensors: by name, without the leading ``model.``.
            model: None where the checkpoint does not keep its params.
            source: what to name in an error.

        Raises:
            CheckpointError: a tensor is missing, the two disagree, or the params ask for something
                that GPT-2 does not have.
        """
        shapes = _shapes(tensors, source)
        if model is None:
            raise CheckpointError(
                f"{source} does not say num_heads: give the params file that it was trained "
                f"with, --params FILE"
            )
        _check_covered(model, source)
        known = {field.name for field in fields(cls)}
        given = {key: value for key, value in model.items() if key in known and value is not None}
        # None is a value of its own here: it means dropout_rate.
        given |= {k: v for k, v in model.items() if k.endswith("_dropout_rate")}
        for key, value in shapes.items():
            if given.setdefault(key, value) != value and key != "num_hidden_layers":
                raise CheckpointError(
                    f"{source} has tensors of {key} {value}, its params say {given[key]}"
                )
        if "num_heads" not in given:
            raise CheckpointError(f"the params of {source} do not say num_heads")
        try:
            return cls(**given)
        except TypeError as error:
            raise CheckpointError(f"the params of {source} are damaged: {error}") from error

    @classmethod
    def from_hf_config(cls, config: Mapping[str, Any], source: str) -> Self:
        """From a ``config.json`` of transformers' GPT-2.

        Raises:
            CheckpointError: it is another model's, or a size is missing or not a number.
        """
        for key, allowed in _HF_ONLY.items():
            default = None if key == "model_type" else allowed[0]
            if (got := config.get(key, default)) not in allowed:
                raise CheckpointError(
                    f"{key} in {source}: got {got!r}, allowed: {', '.join(map(repr, allowed))}"
                )
        try:
            hidden_size = _size(config, "n_embd", source)
            has_inner, has_positions = config.get("n_inner"), config.get("n_positions")
            return cls(
                vocab_size=_size(config, "vocab_size", source),
                hidden_size=hidden_size,
                num_hidden_layers=_size(config, "n_layer", source),
                num_heads=_size(config, "n_head", source),
                filter_size=_size(config, "n_inner", source) if has_inner else 4 * hidden_size,
                max_position_embeddings=_size(
                    config, "n_positions" if has_positions else "n_ctx", source
                ),
                share_embedding_weights=bool(config.get("tie_word_embeddings", True)),
                layer_norm_epsilon=_fraction(config, "layer_norm_epsilon", 1e-5, source),
                nonlinearity=_known_nonlinearity(
                    config.get("activation_function", "gelu_new"), source
                ),
                attention_type=(
                    "scaled_dot_product"
                    if config.get("scale_attn_weights", True)
                    else "dot_product"
                ),
                dropout_rate=_fraction(config, "resid_pdrop", 0.1, source),
                attention_dropout_rate=_fraction(config, "attn_pdrop", 0.1, source),
                embedding_dropout_rate=_fraction(config, "embd_pdrop", 0.1, source),
                initializer_range=_fraction(config, "initializer_range", 0.02, source),
            )
        except KeyError as error:
            raise CheckpointError(f"{source} does not say {error}") from error

    def to_hf_config(self, *, num_added_tokens: int = 0) -> dict[str, Any]:
        """The model part of a ``config.json``; added tokens enlarge the vocabulary."""
        dropout = self.dropout_rate
        attention, embedding = self.attention_dropout_rate, self.embedding_dropout_rate
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": self.vocab_size + num_added_tokens,
            "n_embd": self.hidden_size,
            "n_layer": self.num_hidden_layers,
            "n_head": self.num_heads,
            "n_inner": self.filter_size,
            "n_positions": self.max_position_embeddings,
            "n_ctx": self.max_position_embeddings,
            "activation_function": self.nonlinearity,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "tie_word_embeddings": self.share_embedding_weights,
            "scale_attn_weights": self.attention_type == "scaled_dot_product",
            "resid_pdrop": dropout,
            "attn_pdrop": dropout if attention is None else attention,
            "embd_pdrop": dropout if embedding is None else embedding,
            "initializer_range": self.initializer_range,
        }

    def to_model_params(self) -> dict[str, Any]:
        """The ``model`` section of a params file."""
        return asdict(self) | {"position_embedding_type": "learned", "use_bias_in_output": False}

    @property
    def num_parameters(self) -> int:
        """Parameters, the tied head counted once (a soft prompt is not counted)."""
        width, inner = self.hidden_size, self.filter_size
        layer = 4 * width**2 + 2 * width * inner + 4 * width
        layer += 3 * width * self.use_projection_bias_in_attention
        layer += width * self.use_ffn_bias_in_attention + (width + inner) * self.use_ffn_bias
        heads = 1 if self.share_embedding_weights else 2
        embeddings = (heads * self.vocab_size + self.max_position_embeddings) * width
        return embeddings + self.num_hidden_layers * layer + 2 * width


def _shapes(tensors: Mapping[str, StoredTensor], source: str) -> dict[str, int]:
    """What the shapes of the tensors say."""
    first_layer = f"{LAYERS}.0.ffn.ffn.0.linear_layer.weight"
    for name in (WORD_EMBEDDINGS, POSITION_EMBEDDINGS, first_layer):
        if name not in tensors:
            raise CheckpointError(f"{source} has no tensor {name}: it is not a GPT-2/3 checkpoint")
        if len(tensors[name].shape) != 2:
            raise CheckpointError(
                f"{name} in {source} has shape {list(tensors[name].shape)}, allowed: two dimensions"
            )
    vocab_size, hidden_size = tensors[WORD_EMBEDDINGS].shape
    prefix = f"{LAYERS}."
    indices = {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "max_position_embeddings": tensors[POSITION_EMBEDDINGS].shape[0],
        "filter_size": tensors[first_layer].shape[0],
        # The highest, not the number of them: a layer left out is a missing tensor.
        "num_hidden_layers": 1 + max(int(index) for index in indices if index.isdecimal()),
    }


def _check_covered(model: Mapping[str, Any], source: str) -> None:
    """Refuse params that ask for something that GPT-2 in transformers does not do."""
    # Its import takes pydantic's time, which an inspection need not wait for.
    from mediswift_cs.params.decoder import NOT_COVERED

    allowed: dict[str, tuple[Any, ...]] = {
        **NOT_COVERED,
        "position_embedding_type": ("learned", None),
        "attention_type": ("scaled_dot_product", "dot_product"),
        "use_bias_in_output": (False, None),
    }
    for key, values in allowed.items():
        if key in model and model[key] not in values and model[key] is not None:
            raise CheckpointError(
                f"the model of {source} has {key} {model[key]!r}, which GPT-2 in transformers "
                f"does not have; allowed: {', '.join(map(repr, values))}"
            )
    _known_nonlinearity(model.get("nonlinearity") or "gelu", source)


def _size(config: Mapping[str, Any], key: str, source: str) -> int:
    """A size of a Hugging Face config; KeyError where the config leaves it out."""
    got = config[key]
    if type(got) is not int or got < 1:
        raise CheckpointError(f"{key} in {source}: got {got!r}, allowed: a whole number from 1 on")
    return got


def _fraction(config: Mapping[str, Any], key: str, default: float, source: str) -> float:
    got = config.get(key, default)
    if type(got) not in (int, float) or not 0 <= got <= 1:
        raise CheckpointError(f"{key} in {source}: got {got!r}, allowed: a number from 0 to 1")
    return float(got)


def _known_nonlinearity(name: str, source: str) -> str:
    if name not in NONLINEARITIES:
        raise CheckpointError(
            f"nonlinearity of {source}: got {name!r}, allowed: {', '.join(NONLINEARITIES)}"
        )
    return name
