"""The GPT decoder of MediSwift: GPT-3's architecture under ModelZoo's parameter names.

The names of ModelZoo's GPT-2 and GPT-3 are kept to the letter, because its converters, its
parameter filters and existing checkpoints rely on them.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mediswift_cs.model.attention import LayerCache, SelfAttention
from mediswift_cs.model.soft_prompt import SoftPrompt
from mediswift_cs.params.schema import InitializerParams, ModelParams


class PositionEmbedding(nn.Module):
    """Learned absolute positions."""

    def __init__(self, max_position_embeddings: int, hidden_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(max_position_embeddings, hidden_size)
        self.as_constant: Callable[[Tensor], Tensor] | None = None
        """Makes a CPU tensor a constant of the graph that is being traced; a host may set it."""

    def forward(self, input_ids: Tensor, positions: Tensor | None = None) -> Tensor:
        """[batch, length] -> [batch or 1, length, hidden_size].

        ``positions``: int [batch, length]; None counts from 0 in each row.
        """
        if positions is not None:
            at_positions: Tensor = self.embed(positions)
            return at_positions
        batch, length = input_ids.shape
        if self.as_constant is not None:
            constant = self.as_constant(torch.arange(length, device="cpu"))
            at_constant: Tensor = self.embed(constant.expand(batch, -1))
            return at_constant
        positions = torch.arange(length, device=input_ids.device, dtype=torch.int32)
        embedded: Tensor = self.embed(positions[None, :])
        return embedded


class EmbeddingLayer(nn.Module):
    """The sum of word and position embeddings."""

    def __init__(self, config: ModelParams) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = PositionEmbedding(
            config.max_position_embeddings, config.hidden_size
        )

    def forward(
        self,
        input_ids: Tensor,
        soft_prompt: SoftPrompt | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """[batch, length] -> [batch, length, hidden_size]."""
        words: Tensor
        if soft_prompt is None:
            words = self.word_embeddings(input_ids)
        else:
            words = soft_prompt(input_ids, self.word_embeddings)
        embedded_positions: Tensor = self.position_embeddings(input_ids, positions)
        return words + embedded_positions


class FeedForwardLayer(nn.Module):
    """One linear layer of the feed-forward network."""

    def __init__(self, in_features: int, out_features: int, bias: bool) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(in_features, out_features, bias=bias)

    def forward(self, states: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        projected: Tensor = self.linear_layer(states)
        return projected


class FeedForward(nn.Module):
    """hidden_size -> filter_size -> GELU (exact) -> hidden_size."""

    def __init__(self, hidden_size: int, filter_size: int, dropout_rate: float, bias: bool) -> None:
        super().__init__()
        self.ffn = nn.ModuleList(
            [
                FeedForwardLayer(hidden_size, filter_size, bias),
                FeedForwardLayer(filter_size, hidden_size, bias),
            ]
        )
        self.dropout_rate = dropout_rate

    def forward(self, states: Tensor) -> Tensor:
        """[..., hidden_size] -> [..., hidden_size]."""
        expand, contract = self.ffn
        projected: Tensor = contract(functional.gelu(expand(states)))
        return functional.dropout(projected, self.dropout_rate, self.training)


class DecoderLayer(nn.Module):
    """A pre-LayerNorm transformer block; norm2 is the cross-attention's in ModelZoo's numbering."""

    def __init__(self, config: ModelParams) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.self_attn = SelfAttention(
            config.hidden_size,
            config.num_heads,
            dropout_rate=config.resolved_attention_dropout_rate,
            projection_bias=config.use_projection_bias_in_attention,
            output_bias=config.use_ffn_bias_in_attention,
            softmax_in_float32=config.attention_softmax_fp32,
        )
        self.norm3 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.ffn = FeedForward(
            config.hidden_size, config.filter_size, config.dropout_rate, config.use_ffn_bias
        )
        self.dropout_rate = config.dropout_rate

    def forward(
        self, states: Tensor, cache: LayerCache | None = None, visible: Tensor | None = None
    ) -> Tensor:
        """[batch, length, hidden_size] -> the same shape; the others are SelfAttention's."""
        attended = self.self_attn(self.norm1(states), cache, visible)
        states = states + functional.dropout(attended, self.dropout_rate, self.training)
        transformed: Tensor = self.ffn(self.norm3(states))
        return states + transformed


class TransformerDecoder(nn.Module):
    """The stack of decoder layers and the final LayerNorm."""

    def __init__(self, config: ModelParams) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.recompute = False
        """Whether training keeps a layer's input only and computes the rest again; a host's."""

    def forward(
        self,
        states: Tensor,
        caches: Sequence[LayerCache] | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """[batch, length, hidden_size] -> the same shape; ``caches`` has one for each layer."""
        for index, layer in enumerate(self.layers):
            if self.recompute and self.training:
                states = checkpoint(layer, states, use_reentrant=False)
            else:
                states = layer(states, None if caches is None else caches[index], visible)
        normed: Tensor = self.norm(states)
        return normed


class DecoderLanguageModel(nn.Module):
    """Token ids in, logits of the next token out."""

    def __init__(self, config: ModelParams) -> None:
        super().__init__()
        self.config = config
        self.embedding_layer = EmbeddingLayer(config)
        self.transformer_decoder = TransformerDecoder(config)
        # ModelZoo's checkpoints hold the final LayerNorm under both names.
        self.ln_f = self.transformer_decoder.norm
        self.lm_head = nn.Linear(
            config.hidden_size, config.vocab_size, bias=config.use_bias_in_output
        )
        self.soft_prompt: SoftPrompt | None = None
        if config.soft_prompt is not None:
            self.soft_prompt = SoftPrompt(config.soft_prompt, config.vocab_size, config.hidden_size)
        self.reset_parameters()
        self.tie_weights()

    def tie_weights(self) -> None:
        """Let the head share the word embeddings, where the params ask for it."""
        if self.config.share_embedding_weights:
            self.lm_head.weight = self.embedding_layer.word_embeddings.weight

    def reset_parameters(self) -> None:
        """GPT-2's initialisation: residual outputs get a smaller deviation, biases are zero."""
        config = self.config
        initialize(self.embedding_layer.word_embeddings.weight, config.embedding_initializer)
        initialize(
            self.embedding_layer.position_embeddings.embed.weight, config.embedding_initializer
        )
        for module in self.transformer_decoder.modules():
            if isinstance(module, nn.Linear):
                initialize(module.weight, config.initializer)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for layer in self.transformer_decoder.layers:
            assert isinstance(layer, DecoderLayer)
            initialize(
                layer.self_attn.proj_output_dense_layer.weight, config.output_layer_initializer
            )
            contract = layer.ffn.ffn[1]
            assert isinstance(contract, FeedForwardLayer)
            initialize(contract.linear_layer.weight, config.output_layer_initializer)
        if not config.share_embedding_weights:
            initialize(self.lm_head.weight, config.initializer)
        if self.lm_head.bias is not None:
            nn.init.zeros_(self.lm_head.bias)
        if self.soft_prompt is not None:
            initialize(self.soft_prompt.weight, config.embedding_initializer)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits [batch, length, vocab_size] of the token after each of ``input_ids``.

        input_ids: int32 [batch, length], length <= max_position_embeddings; ids from vocab_size
        on are the soft prompt's.
        """
        logits: Tensor = self.lm_head(self.hidden_states(input_ids))
        return logits

    def hidden_states(
        self,
        input_ids: Tensor,
        *,
        positions: Tensor | None = None,
        caches: Sequence[LayerCache] | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """What the head maps to logits, [batch, length, hidden_size]; the ids as in ``forward``.

        Args:
            positions: int [batch, length]; None counts from 0 in each row.
            caches: of :meth:`new_caches`; the tokens of earlier calls are seen, and these join.
            visible: bool [batch, length, cached + length], what each token attends to; None is
                causal, for caches that are empty.
        """
        states = self.embedding_layer(input_ids, self.soft_prompt, positions)
        states = functional.dropout(
            states, self.config.resolved_embedding_dropout_rate, self.training
        )
        decoded: Tensor = self.transformer_decoder(states, caches, visible)
        return decoded

    def new_caches(self) -> list[LayerCache]:
        """Empty caches, one for each layer."""
        return [LayerCache() for _ in self.transformer_decoder.layers]


def initialize(weight: Tensor, initializer: InitializerParams) -> None:
    """Fill ``weight`` in place as the params say."""
    if initializer.name == "normal":
        nn.init.normal_(weight, initializer.mean, initializer.std)
    else:
        truncated_normal_(weight, initializer)


@torch.no_grad()
def truncated_normal_(weight: Tensor, initializer: InitializerParams) -> None:
    """torch 2.4's ``trunc_normal_``; newer releases draw other numbers from the same seed."""
    mean, std = initializer.mean, initializer.std
    low, high = (
        math.erf((end - mean) / std / math.sqrt(2)) for end in (initializer.a, initializer.b)
    )
    # Uniform in the values of the distribution function, which its inverse makes normal.
    weight.uniform_(low, high)
    weight.erfinv_().mul_(std * math.sqrt(2)).add_(mean)
    weight.clamp_(min=initializer.a, max=initializer.b)
