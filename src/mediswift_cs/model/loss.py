"""Cross entropy over the tokens that the loss mask counts."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def language_model_loss(
    logits: Tensor,
    labels: Tensor,
    loss_mask: Tensor,
    loss_scaling: Literal["num_tokens", "batch_size"] = "num_tokens",
    loss_weight: float = 1.0,
) -> Tensor:
    """The masked cross entropy in nats, a scalar.

    logits: [batch, length, vocab_size]; labels, loss_mask: int32 [batch, length].
    ``num_tokens`` divides the sum by the number of counted tokens; ``batch_size`` divides it by
    the number of sequences and multiplies by ``loss_weight`` (ModelZoo's two scalings).
    """
    per_token = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten().long(), reduction="none"
    )
    # Zeros and ones are exact in every number format, their sum is not.
    mask = loss_mask.to(logits.dtype)
    total = (per_token * mask.flatten()).sum()
    if loss_scaling == "num_tokens":
        return total / mask.sum(dtype=torch.float32)
    return total / labels.shape[0] * loss_weight


def mean_loss_per_token(
    loss: Tensor,
    loss_mask: Tensor,
    loss_scaling: Literal["num_tokens", "batch_size"],
    loss_weight: float,
) -> Tensor:
    """Undo the scaling of :func:`language_model_loss`: nats per counted token, a scalar."""
    if loss_scaling == "num_tokens":
        return loss
    return loss * (loss_mask.shape[0] / loss_weight) / loss_mask.sum()
