"""Cross entropy over the tokens that the loss mask counts."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Elements of the gradient computed at a time: small beside the logits.
_CHUNK = 1 << 22


class TokenCrossEntropy(torch.autograd.Function):
    """``cross_entropy(..., reduction="none")`` with one buffer of the logits' size, not three.

    The gradient takes the place of the log-probabilities, chunk by chunk, by torch's own kernel, so
    that values and gradients have the same bits as without this class. Its graph can be used once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Nats, float32 [tokens], of logits [tokens, vocab_size] and labels int64 [tokens]."""
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)
        # Not saved for backward in autograd's way, since it is overwritten there.
        ctx.log_probabilities, ctx.dtype = log_probabilities, logits.dtype
        ctx.save_for_backward(labels)
        return -log_probabilities.gather(1, labels[:, None]).squeeze(1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None]:
        """The gradient of the logits; ``weights`` [tokens] is that of the losses."""
        gradient, ctx.log_probabilities = ctx.log_probabilities, None
        assert gradient is not None, "the graph of the loss can be used once"
        (labels,) = ctx.saved_tensors
        num_rows = max(1, _CHUNK // gradient.shape[1])
        for rows, row_labels, row_weights in zip(
            *(torch.split(each, num_rows) for each in (gradient, labels, weights)), strict=True
        ):
            of_log_probabilities = torch.zeros_like(rows).scatter_(
                1, row_labels[:, None], -row_weights[:, None]
            )
            rows.copy_(
                torch._log_softmax_backward_data(of_log_probabilities, rows, 1, torch.float32)
            )
        return gradient.to(ctx.dtype), None


def token_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Nats, [tokens], of logits [tokens, vocab_size] and labels int64 [tokens]."""
    # While a CSX graph is traced, tensors live on neither of these devices.
    if logits.device.type in ("cpu", "cuda") and logits.requires_grad:
        losses: Tensor = TokenCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
        return losses
    return functional.cross_entropy(logits, labels, reduction="none")


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
    per_token = token_cross_entropy(logits.flatten(0, 1), labels.flatten().long())
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
