"""The decoder over new tokens only, with the keys and values of the earlier ones kept.

The same modules as in :class:`mediswift_cs.model.decoder.DecoderLanguageModel`; only attention is
told explicitly what each token sees, because rows of a batch have different lengths.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from mediswift_cs.model.attention import SelfAttention
from mediswift_cs.model.decoder import DecoderLanguageModel


@dataclass
class Cache:
    """Keys and values of each layer, [batch, heads, length, head size]."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append new tokens to a layer; returns all of its keys and values."""
        if layer == len(self.keys):
            self.keys.append(key)
            self.values.append(value)
        else:
            self.keys[layer] = torch.cat([self.keys[layer], key], dim=2)
            self.values[layer] = torch.cat([self.values[layer], value], dim=2)
        return self.keys[layer], self.values[layer]


def run_decoder(
    decoder: DecoderLanguageModel,
    input_ids: Tensor,
    positions: Tensor,
    cache: Cache,
    visible: Tensor | None = None,
) -> Tensor:
    """Final hidden states [batch, length, hidden_size] of new tokens, which join the cache.

    Args:
        input_ids, positions: int [batch, length].
        visible: bool [batch, length, cached + length], what each new token attends to; None is
            causal, for an empty cache.
    """
    assert not decoder.training
    embeddings = decoder.embedding_layer
    if decoder.soft_prompt is None:
        words: Tensor = embeddings.word_embeddings(input_ids)
    else:
        words = decoder.soft_prompt(input_ids, embeddings.word_embeddings)
    states: Tensor = words + embeddings.position_embeddings.embed(positions)
    for index, layer in enumerate(decoder.transformer_decoder.layers):
        attended = _attend(layer.self_attn, layer.norm1(states), cache, index, visible)
        states = states + attended
        states = states + layer.ffn(layer.norm3(states))
    normed: Tensor = decoder.transformer_decoder.norm(states)
    return normed


def _attend(
    attention: SelfAttention, states: Tensor, cache: Cache, layer: int, visible: Tensor | None
) -> Tensor:
    query = attention.split_heads(attention.proj_q_dense_layer(states))
    key, value = cache.extend(
        layer,
        attention.split_heads(attention.proj_k_dense_layer(states)),
        attention.split_heads(attention.proj_v_dense_layer(states)),
    )
    attended = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=None if visible is None else visible[:, None],
        is_causal=visible is None,
    )
    projected: Tensor = attention.proj_output_dense_layer(attended.transpose(1, 2).flatten(2))
    return projected


@dataclass
class Prefilled:
    """A batch of prompts after their forward pass.

    Attributes:
        last_states: [batch, hidden_size], the state of each prompt's last token.
        lengths: int64 [batch].
        padded_length: tokens a row in the cache; those past its length are padding.
    """

    cache: Cache
    last_states: Tensor
    lengths: Tensor
    padded_length: int

    def visible_prompt(self) -> Tensor:
        """bool [batch, 1, padded_length]: the columns of each row that are not padding."""
        columns = torch.arange(self.padded_length, device=self.lengths.device)
        return (columns[None, :] < self.lengths[:, None])[:, None, :]


def prefill(decoder: DecoderLanguageModel, prompts: list[list[int]], pad_id: int) -> Prefilled:
    """Run prompts of any lengths, padded at their ends, where causal attention never looks."""
    device = decoder.lm_head.weight.device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    longest = int(lengths.max())
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.int32)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt, dtype=torch.int32)
    positions = torch.arange(longest, device=device).expand(len(prompts), -1)
    cache = Cache()
    states = run_decoder(decoder, ids.to(device), positions, cache)
    last = states[torch.arange(len(prompts), device=device), lengths - 1]
    return Prefilled(cache, last, lengths, longest)
