"""What is different in the params of a run that goes on, and what becomes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.plain import values_by_key
from mediswift_cs.params.schema import Params

# What may change without a word: it says where and how long, and not what is computed.
_FREE = tuple(
    f"init.{name}"
    for name in (
        *("backend", "device", "model_dir", "loop", "checkpoint", "logging", "callbacks"),
        *("loggers", "autorestart"),
        *("torch.compile", "torch.activation_checkpointing", "torch.tf32"),
    )
)
# The masks are those of the checkpoint.
_FIXED = tuple(
    f"init.sparsity.{name}"
    for name in ("sparsity", "algorithm", "param_filter", "update", "drop_fraction")
)
_APPLIED = ("init.optimizer", "init.schedulers", "init.precision", "init.torch.mean_over")


def changed_params(saved: Mapping[str, Any], now: Params, path: Path) -> list[str]:
    """One sentence for each value that is another than when the checkpoint was saved.

    Values are compared as the schema reads them, so that another spelling is no change.

    Args:
        saved: the params file of the checkpoint as read; where it is none of this package's, such
            as another program's or {}, nothing is known of it.

    Raises:
        CheckpointError: a value cannot change in the middle of a run.
    """
    try:
        begun = Params.model_validate(saved)
    except ValidationError:
        return []
    before, after = (values_by_key(params.trainer.model_dump()) for params in (begun, now))
    # Where one of them is dense, loading the weights says so better.
    both_sparse = all(any(key.startswith(_FIXED) for key in keys) for keys in (before, after))
    told = []
    for key in sorted(before.keys() | after.keys()):
        was, got = (values.get(key, "left out") for values in (before, after))
        if was == got or not key.startswith(("init.", "fit.train_dataloader")):
            continue
        if key.startswith(_FIXED):
            if not both_sparse:
                continue
            raise CheckpointError(
                f"trainer.{key}: got {got}, allowed: {was}, with which the run in {path} began; "
                "start a new run from its weights to train with other masks"
            )
        if key.startswith(_FREE):
            continue
        fate = "from here on" if key.startswith(_APPLIED) else "as far as a run that began can"
        told.append(f"trainer.{key} was {was}, {fate} it is {got}")
    return told
