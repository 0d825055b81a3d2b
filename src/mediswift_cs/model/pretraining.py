"""The pre-training model: a decoder with its loss, as the training hosts call it."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.loss import language_model_loss, mean_loss_per_token
from mediswift_cs.params.schema import ModelParams


class EvalMetrics(Protocol):
    """What a host may plug in to see the logits of each evaluation batch."""

    def __call__(self, logits: Tensor, labels: Tensor, loss_mask: Tensor, loss: Tensor) -> None:
        """Take in one batch; ``loss`` is the mean over the counted tokens."""


class MediSwiftModel(nn.Module):
    """Maps a batch to its loss; in evaluation mode it also feeds the host's metrics.

    The decoder sits under ``model.``, the prefix of every key in ModelZoo's checkpoints.
    """

    def __init__(self, config: ModelParams, eval_metrics: EvalMetrics | None = None) -> None:
        super().__init__()
        self.config = config
        self.model = DecoderLanguageModel(config)
        self.eval_metrics = eval_metrics

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss, a scalar, of int32 ``input_ids``, ``attention_mask`` and ``labels``.

        All are [batch, length].
        """
        # ModelZoo calls the loss mask attention_mask; nothing is ever masked by it in attention.
        loss_mask, labels = batch["attention_mask"], batch["labels"]
        logits = self.model(batch["input_ids"])
        config = self.config
        loss = language_model_loss(
            logits, labels, loss_mask, config.loss_scaling, config.loss_weight
        )
        if self.eval_metrics is not None and not self.training:
            mean = mean_loss_per_token(loss, loss_mask, config.loss_scaling, config.loss_weight)
            self.eval_metrics(logits, labels, loss_mask, mean)
        return loss
