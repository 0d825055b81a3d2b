"""``trainer.init.model``: the keys of ModelZoo's GPT-3 that a plain decoder covers.

Names, defaults and meanings are those of ModelZoo 2.10 (models/nlp/gpt2/gpt2_model.py,
GPT2LMHeadModelConfig), so a key that is left out means the same in both hosts.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Le
from pydantic import Field

from mediswift_cs.params.section import (
    Flag,
    NonNegativeReal,
    PositiveCount,
    PositiveReal,
    Rate,
    Real,
    Section,
)
from mediswift_cs.sizes import MAX_SEQUENCE_LENGTH

# The limits keep a mistyped number from filling memory; no model comes near them.
MAX_WIDTH = 2**18

# ModelZoo's further keys of GPT-3, each with the values at which it changes nothing. Any other
# value asks for something that the MediSwift decoder does not do, and is refused by name.
NOT_COVERED: dict[str, tuple[Any, ...]] = {
    # embeddings
    "num_extra_input_vocab_tokens": (0,),
    "constant_pos_embedding": (None,),
    "position_embedding_offset": (0,),
    "embedding_layer_norm": (False,),
    "num_relative_attention_buckets": (32,),
    "rotary_dim": (None,),
    "rope_theta": (10000,),
    "fold_rope_consts": (False,),
    "alibi_trainable_slopes": (False,),
    "pos_scaling_factor": (1.0,),
    "pos_scaling_type": ("linear",),
    "pos_scaling_extra_args": (None,),
    "rel_distance_mode": ("default",),
    "rel_distance_extra_args": (None,),
    # decoder
    "norm_type": ("layernorm",),
    "norm_first_sandwich": (False,),
    "cross_attention_layers": ([],),
    "ffn_initializer": (None,),
    "ffn_output_layer_initializer": (None,),
    "extra_ffn_params": ({},),
    "moe": (None, {}, {"num_experts": 0}),
    "moe_params": (None, {}, {"num_experts": 0}),
    # attention
    "attention_module": ("aiayn_attention",),
    "attention_inner_dim": (None,),
    "attention_kernel": (None,),
    "attention_chunk_size": (None,),
    "attention_logit_softcapping": (None,),
    "attention_qk_norm_layer": (None,),
    "attention_qk_norm_eps": (1.0e-5,),
    "attention_sink_tokens": (None,),
    "attention_sliding_window_length": (None,),
    "attention_vertical_column_spacing": (None,),
    "attention_vertical_column_width": (None,),
    "extra_attention_params": ({},),
    "fixed_sparse_attention": (None,),
    "memory_tokens": (None, {}, {"memory_tokens_enabled": False}),
    "memory_tokens_config": (None, {}, {"memory_tokens_enabled": False}),
    "scale_qk_dot_by_layer_idx": (False,),
    "sliding_window_every_other_decoder_layer": (False,),
    "sliding_window_every_other_decoder_layer_pattern": (None, "full_attention_first"),
    "use_experimental_flex_api": (False,),
    "use_sink_token": (False,),
    # muP
    "attention_logits_alpha": (1.0,),
    "embeddings_scale": (1.0,),
    "lr_adjustment_groups": (None,),
    "mup_base_filter_size": (None,),
    "mup_base_hidden_size": (None,),
    "output_logits_alpha": (None,),
    "output_logits_scale": (None,),
    "scale_output_logits_by_d": (True,),
    "scale_qk_dot_by_d": (None, False),
    # output and generation
    "boundary_casting": (None, False),
    "dtype": (None,),
    "final_logit_softcapping": (None,),
    "loop_dim": (1,),
    "max_tokens": (None,),
    "start_token": (None,),
    "stop_sequences": (None,),
    "temperature": (None,),
    "top_k": (None,),
    "top_p": (None,),
}

_FORWARD = "in the forward pass, which here is GPT-2's, so that exports are equal bit for bit"
# Of ModelZoo's muP, what each key does, and which covered keys do a part of it.
MUP: dict[str, str] = {
    "attention_logits_alpha": f"it multiplies the attention scores {_FORWARD}",
    "embeddings_scale": f"it multiplies the embeddings {_FORWARD}",
    "lr_adjustment_groups": "its default groups are those of "
    "trainer.init.optimizer.AdamW.adjust_learning_rate, which takes their factors",
    "mup_base_filter_size": "it divides the first weights and the rate of the second feed-forward "
    "matrix, which output_layer_initializer and adjust_learning_rate can say; the rest of muP is "
    f"{_FORWARD}",
    "mup_base_hidden_size": "it divides first weights and rates, which initializer, "
    f"output_layer_initializer and adjust_learning_rate can say, and the logits {_FORWARD}",
    "output_logits_alpha": f"it multiplies the logits {_FORWARD}",
    "output_logits_scale": f"it multiplies the logits {_FORWARD}",
    "scale_output_logits_by_d": f"it divides the logits {_FORWARD}",
    "scale_qk_dot_by_d": f"it divides the attention scores by a head's width, not its root, "
    f"{_FORWARD}",
}


class InitializerParams(Section):
    """How a weight is drawn (ModelZoo layers/init.py, TruncatedNormalInitializer)."""

    name: Literal["truncated_normal", "normal"] = "truncated_normal"
    """The distribution; truncated_normal is drawn again outside of its cuts."""
    mean: Real = 0.0
    """Mean of the distribution."""
    std: NonNegativeReal = 0.05
    """Standard deviation, before cutting."""
    a: Real = -0.1
    """Lower cut of truncated_normal; -2 std when left out."""
    b: Real = 0.1
    """Upper cut of truncated_normal; 2 std when left out."""

    @classmethod
    def _longhand(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in data.items() if value is not None}
        try:
            cut = 2 * float(given.get("std", 0.05))
        except (TypeError, ValueError):
            return given  # the field's own check reports std
        return {"a": -cut, "b": cut, **given}


class SoftPromptParams(Section):
    """``soft_prompt``: trainable vectors in the sequence (Lester et al., 2021).

    Virtual token i has the id vocab_size + i in the batches. Names are PEFT's (PromptTuningConfig)
    where it has them; ``position`` is this package's own.
    """

    num_virtual_tokens: PositiveCount
    """Number of trainable vectors."""
    position: Literal["prefix", "infix"] = "infix"
    """Before the source, or between source and answer (BioGPT); the batches place it."""
    init: Literal["random", "vocab", "text"] = "random"
    """The first vectors: like the word embeddings at their initialisation, rows of random words of
    the loaded checkpoint, or rows of the words of init_text."""
    init_text: str | None = None
    """The words of init text, repeated or cut to num_virtual_tokens tokens."""
    tokenizer_file: str | None = None
    """The tokenizer.json that splits init_text."""


class ModelParams(Section):
    """The GPT decoder, in ModelZoo's GPT-3 keys. Counts are numbers of units, rates fractions."""

    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = NOT_COVERED
    reasons: ClassVar[Mapping[str, str]] = MUP
    ours: ClassVar[frozenset[str]] = frozenset({"soft_prompt", "trainable"})

    name: Literal["mediswift", "mediswift_finetuning"]
    """mediswift to pre-train, mediswift_finetuning for a model that may have a soft prompt."""

    # Embedding
    vocab_size: PositiveCount = Field(default=50257, le=512000)
    """Rows of the embedding: at least as many as the tokenizer has ids."""
    hidden_size: Annotated[PositiveCount, Le(MAX_WIDTH)] = 768
    """Width of the model."""
    position_embedding_type: Literal["learned"] = "learned"
    """Each position has a trained vector, as in GPT-2."""
    share_embedding_weights: Flag = True
    """Whether the output head is the word embedding."""
    max_position_embeddings: Annotated[PositiveCount, Le(MAX_SEQUENCE_LENGTH)] = 1024
    """The longest sequence, in tokens."""
    embedding_dropout_rate: Rate | None = None
    """The same of the embeddings; None: dropout_rate."""

    # Decoder
    num_hidden_layers: Annotated[PositiveCount, Le(1000)] = 12
    """Number of layers."""
    dropout_rate: Rate = 0.1
    """Share of the activations that are zeroed while training."""
    layer_norm_epsilon: PositiveReal = 1.0e-5
    """What is added to the variance in a layer norm."""

    # Attention
    num_heads: PositiveCount = 12
    """Attention heads of a layer; they divide hidden_size."""
    attention_type: Literal["scaled_dot_product"] = "scaled_dot_product"
    """Scores are divided by the root of a head's width."""
    attention_dropout_rate: Rate | None = 0.1
    """The same of the attention's weights; None: dropout_rate."""
    attention_softmax_fp32: Flag = True
    """Whether CSX computes the softmax of attention in float32."""
    use_projection_bias_in_attention: Flag = True
    """Biases of the query, key and value projections."""
    use_ffn_bias_in_attention: Flag = True
    """Bias of the output projection."""

    # Feed-forward
    filter_size: Annotated[PositiveCount, Le(MAX_WIDTH)] = 3072
    """Width inside of the feed-forward layer."""
    nonlinearity: Literal["gelu"] = "gelu"
    """The exact GELU, not its tanh approximation."""
    use_ffn_bias: Flag = True
    """Biases of the two feed-forward matrices."""

    # Initialisation; _completed resolves what is left out
    initializer_range: PositiveReal = 0.02
    """Standard deviation of weights whose initializer is left out."""
    embedding_initializer: InitializerParams = Field(default_factory=InitializerParams)
    """How word and position embeddings are drawn; left out: from initializer_range."""
    initializer: InitializerParams = Field(default_factory=InitializerParams)
    """How all other weights are drawn; left out: from initializer_range."""
    output_layer_initializer: InitializerParams = Field(default_factory=InitializerParams)
    """Of the two projections that write into the residual stream.

    Left out: initializer, else the std of initializer_range over the root of 2 layers.
    """

    # Output and loss
    use_bias_in_output: Flag = False
    """Bias of the output head."""
    loss_scaling: Literal["num_tokens", "batch_size"] = "num_tokens"
    """What the summed loss is divided by: the counted tokens, or the sequences."""
    loss_weight: PositiveReal = 1.0
    """A factor of the loss; used with loss_scaling batch_size only."""
    compute_eval_metrics: Flag = True
    """Whether evaluations compute perplexity and accuracy beside the loss."""

    # Fine-tuning; used by mediswift_finetuning only
    soft_prompt: SoftPromptParams | None = None
    """A soft prompt; None: the model has none."""
    trainable: Literal["all", "soft_prompt"] = "all"
    """What trains: all weights, or the soft_prompt alone."""

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        """ModelZoo's rule: one default for all, its std / sqrt(2 layers) on residual outputs."""
        try:
            std = float(data.get("initializer_range", 0.02))
            output_std = std / math.sqrt(2 * int(data.get("num_hidden_layers", 12)))
        except (TypeError, ValueError, ArithmeticError):
            return data  # the fields' own checks report these
        default = {"name": "truncated_normal", "std": std}
        implied = {
            "embedding_initializer": default,
            "initializer": default,
            "output_layer_initializer": data.get("initializer") or {**default, "std": output_std},
        }
        return data | {key: value for key, value in implied.items() if data.get(key) is None}

    @property
    def resolved_embedding_dropout_rate(self) -> float:
        """embedding_dropout_rate, or dropout_rate where that is None."""
        return self._or_dropout_rate(self.embedding_dropout_rate)

    @property
    def resolved_attention_dropout_rate(self) -> float:
        """attention_dropout_rate, or dropout_rate where that is None."""
        return self._or_dropout_rate(self.attention_dropout_rate)

    def _or_dropout_rate(self, rate: float | None) -> float:
        return self.dropout_rate if rate is None else rate
