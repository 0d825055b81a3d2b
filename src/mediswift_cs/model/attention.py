"""Causal self-attention with ModelZoo's parameter names."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class LayerCache:
    """Keys and values of the tokens that one layer has seen: [batch, heads, length, head size]."""

    key: Tensor | None = None
    value: Tensor | None = None

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append those of new tokens; returns the keys and values of all tokens."""
        if self.key is not None and self.value is not None:
            key = torch.cat([self.key, key], dim=2)
            value = torch.cat([self.value, value], dim=2)
        self.key, self.value = key, value
        return key, value


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_rate: float,
    visible: Tensor | None = None,
) -> Tensor:
    """Torch's scaled-dot-product attention, which never holds the score matrix.

    query: [batch, heads, length, head size]; key, value: the same with the length of all tokens;
    returns the shape of ``query``. ``visible``: bool [batch, length, length of all tokens], what
    each query attends to; None is causal.
    """
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=None if visible is None else visible[:, None],
        dropout_p=dropout_rate,
        is_causal=visible is None,
    )


def causal_bias(query: Tensor, length: int) -> Tensor:
    """What is added to the scores: 0 for a position and those before it, -inf for later ones.

    Like ``query`` in batch, heads and number format: [batch, heads, length, length].
    """
    position = torch.arange(length, device=query.device, dtype=torch.float32)
    shape = (*query.shape[:2], length, length)
    # In float arithmetic and at the full shape, because this is what has kernels on a CS-2.
    distance = position[None, :].expand(shape) - position[:, None].expand(shape)
    is_later = distance.to(query.dtype) > 0
    return torch.where(is_later, torch.tensor(-math.inf, dtype=query.dtype), 0.0)


def explicit_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_rate: float,
    softmax_in_float32: bool = True,
) -> Tensor:
    """The same attention written out, in the operations that a CS-2 has kernels for.

    query, key, value: [batch, heads, length, head size]; returns the same shape.
    """
    scale = torch.tensor(1.0 / math.sqrt(query.shape[-1]), dtype=query.dtype)
    scores = torch.matmul(query * scale, key.transpose(-1, -2))
    # The same in each layer; the compiler merges them.
    scores = scores + causal_bias(query, query.shape[-2])
    weights = functional.softmax(scores.float() if softmax_in_float32 else scores, dim=-1)
    weights = functional.dropout(weights.to(scores.dtype), p=dropout_rate)
    return torch.matmul(weights, value)


class SelfAttention(nn.Module):
    """Multi-head causal self-attention over [batch, length, hidden_size]."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        dropout_rate: float,
        projection_bias: bool,
        output_bias: bool,
        softmax_in_float32: bool,
    ) -> None:
        """``softmax_in_float32`` counts on CSX only: the fused attention chooses by itself."""
        super().__init__()
        self.num_heads = num_heads
        self.softmax_in_float32 = softmax_in_float32
        self.dropout_rate = dropout_rate
        self.proj_q_dense_layer = nn.Linear(hidden_size, hidden_size, bias=projection_bias)
        self.proj_k_dense_layer = nn.Linear(hidden_size, hidden_size, bias=projection_bias)
        self.proj_v_dense_layer = nn.Linear(hidden_size, hidden_size, bias=projection_bias)
        self.proj_output_dense_layer = nn.Linear(hidden_size, hidden_size, bias=output_bias)

    def split_heads(self, states: Tensor) -> Tensor:
        """[batch, length, hidden_size] -> [batch, heads, length, head size]."""
        batch, length, hidden_size = states.shape
        return states.view(batch, length, self.num_heads, hidden_size // self.num_heads).transpose(
            1, 2
        )

    def forward(
        self, states: Tensor, cache: LayerCache | None = None, visible: Tensor | None = None
    ) -> Tensor:
        """Attend from every position of ``states`` to itself and to the earlier ones.

        Args:
            cache: holds the tokens before those of ``states``, which join them.
            visible: bool [batch, length, cached + length], what each token attends to; None is
                causal, for a cache that is empty.
        """
        query = self.split_heads(self.proj_q_dense_layer(states))
        key = self.split_heads(self.proj_k_dense_layer(states))
        value = self.split_heads(self.proj_v_dense_layer(states))
        if cache is not None:
            key, value = cache.extend(key, value)
        dropout_rate = self.dropout_rate if self.training else 0.0
        # While a CSX graph is traced, tensors live on neither of these devices.
        if states.device.type in ("cpu", "cuda"):
            attended = fused_attention(query, key, value, dropout_rate, visible)
        else:
            assert cache is None, "a CSX graph sees whole sequences"
            attended = explicit_attention(query, key, value, dropout_rate, self.softmax_in_float32)
        projected: Tensor = self.proj_output_dense_layer(attended.transpose(1, 2).flatten(2))
        return projected
