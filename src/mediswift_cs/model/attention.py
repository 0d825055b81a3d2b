"""Causal self-attention with ModelZoo's parameter names."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def fused_attention(query: Tensor, key: Tensor, value: Tensor, dropout_rate: float) -> Tensor:
    """Torch's scaled-dot-product attention, which never holds the score matrix.

    query, key, value: [batch, heads, length, head size]; returns the same shape.
    """
    return functional.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout_rate, is_causal=True
    )


def explicit_attention(query: Tensor, key: Tensor, value: Tensor, dropout_rate: float) -> Tensor:
    """The same attention written out, in the operations that a CS-2 has kernels for.

    query, key, value: [batch, heads, length, head size]; returns the same shape.
    """
    scale = torch.tensor(1.0 / math.sqrt(query.shape[-1]), dtype=query.dtype, device=query.device)
    scores = torch.matmul(query * scale, key.transpose(-1, -2))
    position = torch.arange(query.shape[-2], device=query.device)
    future = position[None, :] > position[:, None]
    scores = scores.masked_fill(future, torch.finfo(scores.dtype).min)
    weights = functional.softmax(scores, dim=-1)
    return torch.matmul(functional.dropout(weights, p=dropout_rate), value)


class SelfAttention(nn.Module):
    """Multi-head causal self-attention over [batch, length, hidden_size]."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        dropout_rate: float = 0.0,
        projection_bias: bool = True,
        output_bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
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

    def forward(self, states: Tensor) -> Tensor:
        """Attend from every position of ``states`` to itself and to the earlier ones."""
        query = self.split_heads(self.proj_q_dense_layer(states))
        key = self.split_heads(self.proj_k_dense_layer(states))
        value = self.split_heads(self.proj_v_dense_layer(states))
        # While a CSX graph is traced, tensors live on neither of these devices.
        attend = fused_attention if states.device.type in ("cpu", "cuda") else explicit_attention
        attended = attend(query, key, value, self.dropout_rate if self.training else 0.0)
        projected: Tensor = self.proj_output_dense_layer(attended.transpose(1, 2).flatten(2))
        return projected
