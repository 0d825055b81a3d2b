"""Checkpoints in cerebras-pytorch's ``.mdl`` format, with ModelZoo's top-level keys.

A file appears under its name only when it is complete. Loading never unpickles anything.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mediswift_cs.checkpoints.damage import reason_of
from mediswift_cs.checkpoints.mdl import check_file
from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.storage.write import atomic_file, remove_partial


def checkpoint_path(model_dir: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` lies."""
    return model_dir / f"checkpoint_{step}.mdl"


def save_checkpoint(
    state: dict[str, Any],
    path: Path,
    write: Callable[[dict[str, Any], Path], None],
) -> None:
    """Write ``state`` to ``path``, replacing what is there only once the new file is complete.

    Args:
        write: of the host; it is given a path where there is no file.

    Raises:
        CheckpointError: the place cannot be written, or the disk is full.
    """
    remove_partial_files(path.parent)
    try:
        with atomic_file(path) as partial:
            partial.unlink()
            write(state, partial)
    except (DataError, RuntimeError) as error:
        # h5py tells of a full disk with an error of either kind.
        remove_partial_files(path.parent)
        cause = error.__cause__
        reason = reason_of(cause if isinstance(cause, OSError) else error)
        raise CheckpointError(f"cannot write the checkpoint {path}: {reason}") from error


def remove_partial_files(model_dir: Path) -> None:
    """Delete what a run that was killed while it saved has left."""
    remove_partial(model_dir, "checkpoint_*.mdl")
    # cerebras-pytorch writes under names of its own; earlier versions hid the partial files.
    for path in model_dir.glob(".checkpoint_*.mdl.partial*"):
        path.unlink(missing_ok=True)


def keep_last(model_dir: Path, num_kept: int) -> None:
    """Delete all checkpoints of ``model_dir`` but the ``num_kept`` newest."""
    for path in list_checkpoints(model_dir)[:-num_kept]:
        path.unlink()


def load_checkpoint(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The state in a checkpoint; its tensors are read when they are used.

    Raises CheckpointError for a file that is absent, cut short, of another format, or that holds
    pickled objects.
    """
    check_file(path)
    try:
        state = read(path)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {reason_of(error)}") from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise CheckpointError(f"a checkpoint must hold the key 'model', got none in {path}")
    for key, value in state["model"].items():
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{key} in the checkpoint {path}: got {value!r:.80}, no tensor")
    return state


def materialise(value: Any) -> Any:
    """A copy of nested state with real tensors in place of deferred ones."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: materialise(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(materialise(inner) for inner in value)
    return value


def name_of_not_finite(value: Any, name: str = "") -> str | None:
    """The dotted name of a tensor in nested state that holds an infinity or NaN, or None."""
    if isinstance(value, torch.Tensor):
        return name if value.is_floating_point() and not torch.isfinite(value).all() else None
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return None
    found = (name_of_not_finite(inner, f"{name}.{key}".lstrip(".")) for key, inner in value.items())
    return next(filter(None, found), None)


@contextmanager
def optimizer_fits(source: Path) -> Iterator[None]:
    """Turn the errors of states that do not fit into a CheckpointError that names ``source``."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the optimizer state in {source} does not fit the params: {reason_of(error)}"
        ) from error


def load_model_state(model: nn.Module, state: Mapping[str, Any], source: Path) -> None:
    """Load weights and masks; every key must match, in name and shape."""
    expected = model.state_dict()
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in expected]
    problems += [
        f"{key} has shape {list(state[key].shape)}, the model has {list(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    if problems:
        hint = ""
        masks = [key for key in expected.keys() ^ state.keys() if key.endswith(MASK_SUFFIX)]
        if masks:
            hint = "; one is sparse and the other dense (see trainer.init.sparsity)"
        shown = "; ".join(problems[:5])
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            f"the checkpoint {source} does not fit the model: {shown}{more}{hint}"
        )
    model.load_state_dict(state, strict=True)
