"""What a model_dir's run started from, and where a run continues: ``origin.json``."""

from pathlib import Path
from typing import Any

import torch

from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.run_options import ORIGIN_FILE
from mediswift_cs.storage.read import read_json_object, whole_number
from mediswift_cs.storage.write import write_json


def choose_checkpoint(model_dir: Path, given: Path | None) -> Path | None:
    """The checkpoint to start from: that of an interrupted run first, then the given one.

    An interrupted run is continued only by the command that started it: a model_dir that holds
    the checkpoints of another start is refused, and so is one that holds later checkpoints than
    the given one, which would be told apart from the new ones by nothing.
    """
    own = list_checkpoints(model_dir)
    if not own:
        return given
    newest = own[-1]
    if given is None or given.resolve() == newest.resolve():
        return newest
    if given.resolve() in [path.resolve() for path in own]:
        raise ConfigError(
            f"--model_dir {model_dir} holds later checkpoints, got --checkpoint_path {given}, "
            f"allowed: {newest} (also without --checkpoint_path), another --model_dir, or move the "
            "later ones away"
        )
    origin = _read(model_dir).get("checkpoint_path")
    if origin != str(given.resolve()):
        raise ConfigError(
            f"--model_dir {model_dir} already holds the run that started from "
            f"{origin or 'scratch'}, got --checkpoint_path {given}, allowed: the same start, "
            f"or another --model_dir"
        )
    return newest


def record_origin(model_dir: Path, given: Path | None, step: int) -> None:
    """Remember what the run in ``model_dir`` started from, and at which step.

    As long as there is no checkpoint of it, a run has not begun, and another may take its place.
    """
    if not list_checkpoints(model_dir):
        origin = None if given is None else str(given.resolve())
        # Another number of threads adds up in another order: a resumed run takes the same again.
        num_threads = torch.get_num_threads()
        _update(model_dir, checkpoint_path=origin, counted_from=step, num_threads=num_threads)


def counted_from(model_dir: Path, step: int) -> int:
    """The step from which num_steps and num_epochs count, for a run that is at ``step``.

    It is where the run began, also when it was interrupted since; a run that ended begins anew.
    """
    where = str(model_dir / ORIGIN_FILE)
    counted = whole_number(_read(model_dir), "counted_from", where, _damaged)
    return step if counted is None else min(counted, step)


def record_counting(model_dir: Path, step: int) -> None:
    """Remember that num_steps and num_epochs count from ``step``."""
    if _read(model_dir).get("counted_from") != step:
        _update(model_dir, counted_from=step)


def _read(model_dir: Path) -> dict[str, Any]:
    path = model_dir / ORIGIN_FILE
    if not path.exists():
        return {}
    return read_json_object(path, _damaged)


def _damaged(what: str) -> ConfigError:
    return ConfigError(f"{what}; remove it to start anew")


def _update(model_dir: Path, **values: object) -> None:
    write_json(model_dir / ORIGIN_FILE, {**_read(model_dir), **values}, indent=None)
