"""Held-out loss, perplexity and accuracy of a language model, over every sample."""

import sys
import warnings

import cerebras.pytorch as cstorch
from torch import Tensor
from tqdm import tqdm

from mediswift_cs.training import ranks
from mediswift_cs.training.journal import perplexity
from mediswift_cs.training.session import Session


def evaluate(
    session: Session, dataloader: cstorch.utils.data.DataLoader, num_steps: int | None
) -> dict[str, float]:
    """Token-weighted scores over ``num_steps`` batches, or over the whole set if None.

    Returns val_loss (nats per token), val_perplexity, val_accuracy and val_tokens. The mean is
    over tokens, not over batches, so a short last batch counts for what it holds.
    """
    num_batches = len(dataloader)
    num_steps = num_batches if num_steps is None else min(num_steps, num_batches)
    session.model.eval()
    session.metrics.reset()
    totals = {"loss": 0.0, "tokens": 0.0}

    @cstorch.step_closure
    def accumulate(loss: Tensor, num_tokens: Tensor) -> None:
        totals["loss"] += float(loss) * float(num_tokens)
        totals["tokens"] += float(num_tokens)

    # The scores are weighted by tokens, so a short last batch does no harm.
    warnings.filterwarnings("ignore", message="Detected non-uniform batch sizes")
    executor = cstorch.utils.data.DataExecutor(dataloader, num_steps=num_steps)
    for batch in tqdm(
        executor,
        total=num_steps,
        desc="evaluate",
        unit="batch",
        leave=False,
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    ):
        loss, num_tokens = session.evaluation_step(batch)
        if ranks.num_ranks() > 1:
            # A closure's arguments are averaged over GPUs in place, which integers cannot be.
            num_tokens = num_tokens.float()
        accumulate(loss, num_tokens)
    session.model.train()
    if not ranks.is_main():
        # Closures run on one rank only; each rank has seen every sample.
        return {}
    mean_loss = totals["loss"] / totals["tokens"]
    return {
        "val_loss": mean_loss,
        "val_perplexity": perplexity(mean_loss),
        "val_accuracy": float(session.metrics.accuracy),
        "val_tokens": totals["tokens"],
    }
