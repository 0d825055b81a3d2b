"""The shape of a decoder, as ModelZoo names it, and how to read it from a checkpoint."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from annotated_types import Gt, Le
from pydantic import BaseModel, ConfigDict

from mediswift_cs.checkpoints.mdl import StoredTensor
from mediswift_cs.checkpoints.names import LAYERS, POSITION_EMBEDDINGS, WORD_EMBEDDINGS
from mediswift_cs.checkpoints.typed import refuse_other_designs, typed
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.decoder import MAX_WIDTH, NOT_COVERED
from mediswift_cs.params.section import Flag, PositiveCount, Rate, Real
from mediswift_cs.sizes import MAX_SEQUENCE_LENGTH

# Names that ModelZoo and transformers give to the same function.
Nonlinearity = Literal["gelu", "gelu_new", "gelu_fast", "quick_gelu", "relu", "silu", "tanh"]

# The limits keep a mistyped number from filling memory; no model comes near them.
VocabSize = Annotated[PositiveCount, Le(2**31 - 1)]
Width = Annotated[PositiveCount, Le(MAX_WIDTH)]
NumLayers = Annotated[PositiveCount, Le(1000)]
NumPositions = Annotated[PositiveCount, Le(MAX_SEQUENCE_LENGTH)]
PositiveRate = Annotated[Real, Gt(0.0), Le(1.0)]

# Further keys of ModelZoo, each with the values at which GPT-2 in transformers is the same.
_COVERED: dict[str, tuple[Any, ...]] = {
    **{key: values for key, values in NOT_COVERED.items() if key != "scale_qk_dot_by_layer_idx"},
    "position_embedding_type": ("learned",),
    "use_bias_in_output": (False,),
}


class Architecture(BaseModel):
    """A GPT-2/3 decoder in ModelZoo's names; the defaults are ModelZoo's."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    vocab_size: VocabSize
    hidden_size: Width
    num_hidden_layers: NumLayers
    num_heads: PositiveCount
    filter_size: Width
    max_position_embeddings: NumPositions
    share_embedding_weights: Flag = True
    layer_norm_epsilon: PositiveRate = 1.0e-5
    nonlinearity: Nonlinearity = "gelu"
    attention_type: Literal["scaled_dot_product", "dot_product"] = "scaled_dot_product"
    scale_qk_dot_by_layer_idx: Flag = False
    use_projection_bias_in_attention: Flag = True
    use_ffn_bias_in_attention: Flag = True
    use_ffn_bias: Flag = True
    dropout_rate: Rate = 0.1
    attention_dropout_rate: Rate | None = 0.1
    embedding_dropout_rate: Rate | None = None
    initializer_range: PositiveRate = 0.02

    @classmethod
    def of(cls, given: Mapping[str, Any], source: str) -> Self:
        """From keys of ModelZoo's ``model`` section, those of other things left out.

        Args:
            source: what to name in an error.

        Raises:
            CheckpointError: a value that the key cannot have, or heads that do not share the width.
        """
        found = typed(cls, given, source)
        if found.hidden_size % found.num_heads:
            raise CheckpointError(
                f"num_heads: got {found.num_heads}, allowed: a divisor of hidden_size "
                f"{found.hidden_size}, in {source}"
            )
        return found

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
        found = cls.from_params(model, f"the model of {source}", shapes)
        for key, value in shapes.items():
            # Layers that the params do not count have tensors without a rule, and vice versa.
            if getattr(found, key) != value and key != "num_hidden_layers":
                raise CheckpointError(
                    f"{source} has tensors of {key} {value}, its params say {getattr(found, key)}"
                )
        return found

    @classmethod
    def from_params(
        cls, model: Mapping[str, Any], source: str, shapes: Mapping[str, int] | None
    ) -> Self:
        """From the ``model`` section of params.

        Args:
            source: what to name in an error.
            shapes: what the tensors say, for keys that the section leaves out.

        Raises:
            CheckpointError: a key is missing, has a value that it cannot have, or asks for
                something that GPT-2 does not have.
        """
        refuse_other_designs(model, _COVERED, source)
        # None is a value of its own for some rates: it means dropout_rate.
        given = {k: v for k, v in model.items() if v is not None or k in _NULLABLE}
        return cls.of({**(shapes or {}), **given}, source)

    @property
    def folded(self) -> Self:
        """The same decoder once its queries were multiplied by :meth:`query_factor`."""
        return self.model_copy(
            update={"attention_type": "scaled_dot_product", "scale_qk_dot_by_layer_idx": False}
        )

    def query_factor(self, layer: int) -> float:
        """What makes scaled attention on a layer's queries compute what this model does.

        ModelZoo's ``dot_product`` does not divide by the square root of a head's width, and with
        ``scale_qk_dot_by_layer_idx`` layer i divides by i + 1.
        """
        is_scaled = self.attention_type == "scaled_dot_product"
        factor = 1.0 if is_scaled else float(self.hidden_size // self.num_heads) ** 0.5
        return factor / (layer + 1) if self.scale_qk_dot_by_layer_idx else factor

    def to_model_params(self) -> dict[str, Any]:
        """The ``model`` section of a params file; only for what is :attr:`folded`."""
        assert self == self.folded
        section = self.model_dump(exclude={"scale_qk_dot_by_layer_idx"})
        return section | {"position_embedding_type": "learned", "use_bias_in_output": False}

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


_NULLABLE = tuple(
    name
    for name, field in Architecture.model_fields.items()
    if type(None) in get_args(field.annotation)
)


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
    # A number of many digits is no layer's; its tensor has no rule and is refused as such.
    numbers = [int(index) for index in indices if index.isdecimal() and len(index) < 6]
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "max_position_embeddings": tensors[POSITION_EMBEDDINGS].shape[0],
        "filter_size": tensors[first_layer].shape[0],
        # The highest, not the number of them: a layer left out is a missing tensor.
        "num_hidden_layers": 1 + max(numbers),
    }
