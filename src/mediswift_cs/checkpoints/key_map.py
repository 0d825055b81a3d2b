"""Which tensor of ModelZoo's GPT-2/3 is which of transformers' GPT-2: one map, both directions.

transformers keeps linear weights as [in, out], ModelZoo as [out, in]; transformers joins query,
key and value. Nothing else differs but the names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.names import (
    FINAL_NORM_ALIAS,
    HEAD,
    LAYERS,
    POSITION_EMBEDDINGS,
    SOFT_PROMPT,
    WORD_EMBEDDINGS,
)
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.problem import dotted

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One ModelZoo tensor; with ``name`` None, zeros that only transformers has.

    Attributes:
        factor: by which its numbers are multiplied on their way, in either direction.
    """

    name: str | None
    shape: Shape
    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One tensor of transformers: the parts joined along their first dimension.

    Attributes:
        hf_name: its name in transformers.
        parts: the ModelZoo tensors in it, in order.
        is_transposed: whether the joined tensor is stored transposed.
        aliases: further ModelZoo names of the (one) part.
    """

    hf_name: str
    parts: tuple[Part, ...]
    is_transposed: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def joined_shape(self) -> Shape:
        """Shape of the joined parts, in ModelZoo's orientation."""
        rows = sum(part.shape[0] for part in self.parts)
        return (rows, *self.parts[0].shape[1:])

    @property
    def hf_shape(self) -> Shape:
        """The shape that the tensor has in transformers."""
        return self.joined_shape[::-1] if self.is_transposed else self.joined_shape


def rules(architecture: Architecture, *, num_added_tokens: int) -> Iterator[Rule]:
    """Every tensor of the model, in the order of transformers' state dict.

    Args:
        num_added_tokens: virtual tokens that become ordinary ones after the vocabulary.
    """
    width = architecture.hidden_size
    added = (Part(name=SOFT_PROMPT, shape=(num_added_tokens, width)),) if num_added_tokens else ()
    words = Part(name=WORD_EMBEDDINGS, shape=(architecture.vocab_size, width))
    is_tied = architecture.share_embedding_weights
    yield Rule(
        hf_name="transformer.wte.weight",
        parts=(words, *added),
        aliases=(HEAD,) if is_tied else (),
    )
    positions = (architecture.max_position_embeddings, width)
    yield Rule(
        hf_name="transformer.wpe.weight", parts=(Part(name=POSITION_EMBEDDINGS, shape=positions),)
    )
    for index in range(architecture.num_hidden_layers):
        yield from _layer(architecture, index)
    for kind in ("weight", "bias"):
        yield Rule(
            hf_name=f"transformer.ln_f.{kind}",
            parts=(Part(name=f"transformer_decoder.norm.{kind}", shape=(width,)),),
            aliases=(f"{FINAL_NORM_ALIAS}.{kind}",),
        )
    if not is_tied:
        head = Part(name=HEAD, shape=(architecture.vocab_size, width))
        no_rows = tuple(Part(name=None, shape=part.shape) for part in added)
        yield Rule(hf_name=HEAD, parts=(head, *no_rows))


def _layer(architecture: Architecture, index: int) -> Iterator[Rule]:
    hf, cs = f"transformer.h.{index}", f"{LAYERS}.{index}"
    width, inner = architecture.hidden_size, architecture.filter_size
    square, bias = (width, width), architecture.use_projection_bias_in_attention
    joined = tuple(f"{cs}.self_attn.proj_{name}_dense_layer" for name in "qkv")
    output = (f"{cs}.self_attn.proj_output_dense_layer",)
    ffn = [(f"{cs}.ffn.ffn.{index}.linear_layer",) for index in (0, 1)]
    yield from _norm(f"{hf}.ln_1", f"{cs}.norm1", width)
    query = architecture.query_factor(index)
    yield from _linear(f"{hf}.attn.c_attn", joined, square, bias, (query, 1.0, 1.0))
    bias = architecture.use_ffn_bias_in_attention
    yield from _linear(f"{hf}.attn.c_proj", output, square, bias)
    yield from _norm(f"{hf}.ln_2", f"{cs}.norm3", width)
    bias = architecture.use_ffn_bias
    yield from _linear(f"{hf}.mlp.c_fc", ffn[0], (inner, width), bias)
    yield from _linear(f"{hf}.mlp.c_proj", ffn[1], (width, inner), bias)


def _norm(hf: str, cs: str, width: int) -> Iterator[Rule]:
    for kind in ("weight", "bias"):
        yield Rule(hf_name=f"{hf}.{kind}", parts=(Part(name=f"{cs}.{kind}", shape=(width,)),))


def _linear(
    hf: str,
    cs: tuple[str, ...],
    shape: Shape,
    has_bias: bool,
    factors: tuple[float, ...] = (1.0,),
) -> Iterator[Rule]:
    pairs = list(zip(cs, factors, strict=True))
    weights = (Part(name=f"{name}.weight", shape=shape, factor=factor) for name, factor in pairs)
    yield Rule(hf_name=f"{hf}.weight", parts=tuple(weights), is_transposed=True)
    # transformers always has these biases; zeros change nothing.
    biases = (
        Part(name=f"{name}.bias" if has_bias else None, shape=shape[:1], factor=factor)
        for name, factor in pairs
    )
    yield Rule(hf_name=f"{hf}.bias", parts=tuple(biases))


def check_consumed(found: Iterable[str], consumed: Iterable[str], source: str) -> None:
    """Raise CheckpointError naming the first tensor that no rule takes."""
    if left_over := sorted(set(found) - set(consumed)):
        raise CheckpointError(
            f"{len(left_over)} tensors of {source} have no rule, first: {dotted((left_over[0],))}"
        )


def check_present(found: dict[str, Shape], wanted: dict[str, Shape], source: str) -> None:
    """Raise CheckpointError naming the first tensor that is missing or has another shape."""
    for name, shape in wanted.items():
        if name not in found:
            raise CheckpointError(f"{source} has no tensor {name}")
        if found[name] != shape:
            raise CheckpointError(
                f"{name} in {source} has shape {list(found[name])}, allowed: {list(shape)}"
            )
