"""Cross entropy over the tokens that the loss mask counts."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Elements of the gradient computed at a time: small beside the logits.
_CHUNK = 1 << 22
# The label that torch's own cross entropy leaves out.
IGNORED = -100


class TokenCrossEntropy(torch.autograd.Function):
    """``cross_entropy(..., reduction="none")`` with one buffer of the logits' size, not three.

    The gradient takes the place of the log-probabilities, chunk by chunk, by torch's own kernel, so
    that values and gradients have the same bits as without this class. Its graph can be used once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Nats, float32 [tokens], of logits [tokens, vocab_size] and labels int64 [tokens].

        A negative label, such as the -100 of other tools, costs nothing.
        """
        is_label = labels >= 0
        labels = labels.clamp(min=0)
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)
        # Not saved for backward in autograd's way, since it is overwritten there.
        ctx.log_probabilities, ctx.dtype = log_probabilities, logits.dtype
        ctx.save_for_backward(labels, is_label)
        return torch.where(is_label, -log_probabilities.gather(1, labels[:, None]).squeeze(1), 0.0)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None]:
        """The gradient of the logits; ``weights`` [tokens] is that of the losses."""
        gradient, ctx.log_probabilities = ctx.log_probabilities, None
        assert gradient is not None, "the graph of the loss can be used once"
        labels, is_label = ctx.saved_tensors
        weights = torch.where(is_label, weights, 0.0)
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
    on_host = logits.device.type in ("cpu", "cuda")
    if on_host and logits.requires_grad:
        losses: Tensor = TokenCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
        return losses
    if on_host:
        labels = torch.where(labels < 0, IGNORED, labels)
    return functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")


def at_least_one(count: Tensor) -> Tensor:
    """A number to divide by: where no token counts, the loss is 0 of 0 tokens, which makes 0."""
    # A CS-2 graph stays as it is recorded; its batches of padding follow ones that count.
    return count.clamp(min=1) if count.device.type in ("cpu", "cuda") else count


def language_model_loss(
    logits: Tensor,
    labels: Tensor,
    loss_mask: Tensor,
    loss_scaling: Literal["num_tokens", "batch_size"],
    loss_weight: float,
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
        return total / at_least_one(mask.sum(dtype=torch.float32))
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
    return loss * (loss_mask.shape[0] / loss_weight) / at_least_one(loss_mask.sum())
