"""Floating-point operations of the decoder, in closed form and exact.

A multiplication and an addition are two operations. Counted are the matrix products; norms,
activations and embedding look-ups are left out, as torch's FlopCounterMode leaves them out. A
backward pass costs twice its forward pass: one product for the gradient of the input, one for that
of the weight. A pruned weight costs nothing in any of the three: this is what a CS-2 saves, and it
does not describe a CPU or GPU, which multiply by the zeros.

With the softmax term the numbers are those of the formula with which Cerebras published 2.5 times
fewer FLOPs for GPT-3 XL at 75 % sparsity (docs/flops.md).
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from mediswift_cs.errors import ConfigError
from mediswift_cs.sizes import ModelSize

# Forward, gradient of the input, gradient of the weight (or of the other factor).
PASSES_OF_TRAINING = 3
# The gradients still flow through frozen weights to a soft prompt in front of them.
PASSES_THROUGH_FROZEN_WEIGHTS = 2


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Operations by part of the decoder."""

    projections: int
    """Query, key, value and output projections of attention."""
    attention_scores: int
    """Query times key and weights times value, every position with every other."""
    feed_forward: int
    head: int
    softmax: int = 0
    """Three operations a score; 0 unless asked for."""

    @property
    def total(self) -> int:
        """The FLOPs of all parts together."""
        return sum(self.by_part().values())

    def by_part(self) -> dict[str, int]:
        """The FLOPs of each part of the model by its name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def __mul__(self, times: int) -> "Flops":
        return Flops(**{part: count * times for part, count in self.by_part().items()})

    def __add__(self, other: "Flops") -> "Flops":
        others = other.by_part()
        return Flops(**{part: count + others[part] for part, count in self.by_part().items()})


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """What the operations of a decoder depend on."""

    num_hidden_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int
    sequence_length: int
    num_projection_weights: int
    """Weights of the attention projections that are not pruned, over all layers."""
    num_feed_forward_weights: int
    """Weights of the feed-forward blocks that are not pruned, over all layers."""

    def forward_flops(self, *, with_softmax: bool = False) -> Flops:
        """The operations of one forward pass over one sequence."""
        length, layers = self.sequence_length, self.num_hidden_layers
        return Flops(
            projections=2 * length * self.num_projection_weights,
            attention_scores=layers * 4 * length**2 * self.hidden_size,
            feed_forward=2 * length * self.num_feed_forward_weights,
            head=2 * length * self.hidden_size * self.vocab_size,
            softmax=layers * 3 * self.num_heads * length**2 if with_softmax else 0,
        )

    def training_flops(self, *, with_softmax: bool = False, weights_train: bool = True) -> Flops:
        """The operations of one forward and backward pass over one sequence.

        ``weights_train`` is false where only a soft prompt is trained.
        """
        forward = self.forward_flops(with_softmax=with_softmax)
        trained = forward * PASSES_OF_TRAINING
        if weights_train:
            return trained
        frozen = forward * PASSES_THROUGH_FROZEN_WEIGHTS
        return replace(frozen, attention_scores=trained.attention_scores, softmax=trained.softmax)


def num_kept(num_weights: int, sparsity: float) -> int:
    """How many weights of one matrix a mask of this sparsity (fraction of zeros) keeps.

    The rounding is that of cerebras.pytorch.sparse 2.10 (utils.make_mask_topk_sparsity): float32,
    cut off.

    Raises:
        ConfigError: sparsity is outside [0, 1).
    """
    if not 0.0 <= sparsity < 1.0:
        raise ConfigError(f"sparsity: got {sparsity}, allowed: at least 0 and below 1")
    if sparsity == 0.0:
        return num_weights
    density = np.float32(1.0) - np.float32(sparsity)
    return int(density * np.float32(num_weights))


def shape_of_size(size: ModelSize, sparsity: float = 0.0) -> DecoderShape:
    """The shape of one of MediSwift's sizes, each projection matrix at this sparsity."""
    width, inner, layers = size.hidden_size, size.filter_size, size.num_hidden_layers
    return DecoderShape(
        num_hidden_layers=layers,
        hidden_size=width,
        num_heads=size.num_heads,
        vocab_size=size.vocab_size,
        sequence_length=size.max_position_embeddings,
        num_projection_weights=layers * 4 * num_kept(width * width, sparsity),
        num_feed_forward_weights=layers * 2 * num_kept(width * inner, sparsity),
    )


def multiplier_to_beat(dense: Flops, sparse: Flops) -> float:
    """m*: of a smaller dense model's weights, how many one kept weight has to be worth.

    The dense model that costs what the sparse one costs has the same depth, sequences and
    vocabulary, and a smaller width: the products with its weights (W) go with the square of the
    width, scores and head (R) with the width. So its width is the share x of the whole one's with
    W x**2 + R x = K + R, where K are the products with the kept weights; it has x**2 W / K times
    as many weights as were kept. Widths are not rounded to whole numbers.
    """
    matrices = dense.projections + dense.feed_forward
    kept = sparse.projections + sparse.feed_forward
    rest = dense.total - matrices
    share = (math.sqrt(rest**2 + 4 * matrices * (kept + rest)) - rest) / (2 * matrices)
    return share**2 * matrices / kept


def run_flops(per_sequence: Flops, num_tokens: int, sequence_length: int) -> Flops:
    """The operations of a whole run over ``num_tokens``.

    Raises:
        ConfigError: the tokens are no whole number of sequences.
    """
    return per_sequence * whole_sequences(num_tokens, sequence_length)


def whole_sequences(num_tokens: int, sequence_length: int) -> int:
    """How many sequences these tokens are.

    Raises:
        ConfigError: they are no whole number of sequences.
    """
    num_sequences, rest = divmod(num_tokens, sequence_length)
    if rest or num_sequences < 1:
        raise ConfigError(
            f"tokens of the run: got {num_tokens:,}, allowed: a positive multiple of the sequence "
            f"length {sequence_length}"
        )
    return num_sequences
