"""What is different in the params of a run that goes on, and what becomes of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mediswift_cs.errors import CheckpointError

# What may change without a word: it says where and how long, and not what is computed.
_FREE = tuple(
    f"init.{name}"
    for name in (
        *("backend", "device", "model_dir", "loop", "checkpoint", "logging", "callbacks"),
        *("loggers", "autorestart", "torch"),
    )
)
# The masks are those of the checkpoint.
_FIXED = ("init.sparsity.sparsity", "init.sparsity.algorithm", "init.sparsity.param_filter")
_APPLIED = ("init.optimizer", "init.schedulers", "init.precision")


def changed_params(saved: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> list[str]:
    """One sentence for each value that is another than when the checkpoint was saved.

    Args:
        saved, now: params files as read; where ``saved`` is empty nothing is known.

    Raises:
        CheckpointError: a value cannot change in the middle of a run.
    """
    if not saved:
        return []
    before, after = (dict(_values(params.get("trainer"))) for params in (saved, now))
    # Where one of them is dense, loading the weights says so better.
    both_sparse = all(any(key.startswith(_FIXED) for key in keys) for keys in (before, after))
    told = []
    for key in sorted(before.keys() | after.keys()):
        was, got = before.get(key, "left out"), after.get(key, "left out")
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


def _values(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    items: Any = enumerate(section) if isinstance(section, list) else None
    if isinstance(section, Mapping):
        items = section.items()
    if items is None or not section:
        yield prefix, section
        return
    for key, value in items:
        yield from _values(value, f"{prefix}.{key}" if prefix else str(key))
