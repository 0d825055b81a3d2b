"""Held-out loss, perplexity and accuracy of a language model, over every sample."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from mediswift_cs.params.schema import DataLoaderParams
from mediswift_cs.progress import progress
from mediswift_cs.tokens.manifest import Manifest, find_manifest, read_manifest
from mediswift_cs.training import ranks
from mediswift_cs.training.hosts.host import Host


class EvaluationStoppedError(Exception):
    """An evaluation was given up, because the run is to stop."""


def evaluate(
    host: Host,
    params: DataLoaderParams,
    num_steps: int | None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Token-weighted scores over ``num_steps`` batches of a data set, or over all of it if None.

    Returns val_loss (nats per token), val_perplexity, val_accuracy and val_tokens. The mean is
    over tokens, not over batches, so a short last batch counts for what it holds. For text of known
    size also val_bits_per_byte; for the answers of a task, off CSX, also val_answer_accuracy, the
    share of answers that have every token right, which greedy decoding would give.

    Args:
        is_stopped: asked before each batch, off CSX, by all ranks together.

    Raises:
        EvaluationStoppedError: ``is_stopped`` said so.
    """
    dataloader = host.make_dataloader(params)
    num_batches = len(dataloader)
    num_steps = num_batches if num_steps is None else min(num_steps, num_batches)
    host.model.eval()
    manifest = _find_manifest(params)
    host.metrics.reset(count_answers=_has_answers(manifest) and not host.is_traced)
    totals = {"loss": 0.0, "tokens": 0.0}

    @host.after_step
    def accumulate(loss: Tensor, num_tokens: Tensor) -> None:
        totals["loss"] += float(loss) * float(num_tokens)
        totals["tokens"] += float(num_tokens)

    # The scores are weighted by tokens, so a short last batch does no harm.
    warnings.filterwarnings("ignore", message="Detected non-uniform batch sizes")
    batches = host.batches(dataloader, num_steps)
    for batch in progress("evaluate", "batches", batches, total=num_steps, stays=False):
        if not host.is_traced and is_stopped():
            raise EvaluationStoppedError
        loss, num_tokens = host.evaluation_step(batch)
        accumulate(loss, num_tokens)
    host.model.train()
    if not ranks.is_main():
        # Each rank has seen every sample; one writes down what came out.
        return {}
    return _scores(host, totals, manifest, params)


def _scores(
    host: Host, totals: dict[str, float], manifest: Manifest | None, params: DataLoaderParams
) -> dict[str, float]:
    mean_loss = totals["loss"] / totals["tokens"] if totals["tokens"] else math.nan
    values = {
        "val_loss": mean_loss,
        "val_perplexity": perplexity(mean_loss),
        "val_accuracy": float(host.metrics.accuracy),
        "val_tokens": totals["tokens"],
    }
    split = manifest and manifest.splits.get(Path(str(params.data_dir)).name)
    if split and (bits := split.bits_per_byte(mean_loss)) is not None:
        values["val_bits_per_byte"] = bits
    if host.metrics.answers is not None:
        right, number = host.metrics.answers
        values["val_answer_accuracy"] = right / number if number else math.nan
    return values


def _find_manifest(params: DataLoaderParams) -> Manifest | None:
    """The manifest of the data, where they are one folder that has one."""
    path = find_manifest(Path(params.data_dir)) if isinstance(params.data_dir, str) else None
    return None if path is None else read_manifest(path.parent)


def _has_answers(manifest: Manifest | None) -> bool:
    """Whether the counted tokens of each sample are an answer, and nothing else."""
    prompt = manifest.options.get("prompt") if manifest is not None else None
    return isinstance(prompt, dict) and prompt.get("loss_on") == "target"


def perplexity(loss: float) -> float:
    """exp(loss), infinite where a float cannot hold it."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
