"""What the command line of a run says beside the params; imports nothing heavy."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.read import read_json_object
from mediswift_cs.tuning import NUM_THREADS

Mode = Literal["train", "eval", "train_and_eval", "eval_all"]
Engine = Literal["torch", "cerebras", "modelzoo"]
"""Who carries out a run: this package on plain PyTorch (CPU, GPU) or on cerebras-pytorch (CSX, CPU
for testing), or ModelZoo's Trainer."""
EngineChoice = Literal["auto", "torch", "cerebras", "modelzoo", "builtin"]
"""auto: CPU and GPU take torch; CSX takes ModelZoo where it is importable, else cerebras. builtin
is the earlier name of auto without ModelZoo."""
CheckData = Literal["train", "eval", "both", "none"]
"""The dataloaders whose folders must be there and fit the model."""

# What a model_dir's run started from.
ORIGIN_FILE = "origin.json"
# Why its run could not go on: its numbers were not finite any more.
FAILURE_FILE = "failure.json"

# The data that must be there before a run in this mode.
CHECKED_DATA: dict[Mode, CheckData] = {
    "train": "train",
    "eval": "eval",
    "train_and_eval": "both",
    "eval_all": "eval",
}


def trains(mode: Mode) -> bool:
    """Whether a run in this mode updates weights."""
    return mode in ("train", "train_and_eval")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The choices of one run, whichever engine carries it out.

    Attributes:
        device: CPU, GPU or CSX.
        engine: who carries it out.
        model_dir: where results go.
        checkpoint_path: the .mdl file to start from or to evaluate; None leaves the choice to the
            params and to model_dir.
    """

    device: str
    engine: Engine
    mode: Mode
    model_dir: Path
    checkpoint_path: Path | None


@contextmanager
def writing_to(model_dir: Path) -> Iterator[None]:
    """Where the block cannot write to ``model_dir``, a ConfigError names the option."""
    try:
        yield
    except (OSError, DataError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot write to --model_dir {model_dir}: {reason}") from error


def threads_of_run(model_dir: Path) -> int | None:
    """With how many threads the run in a folder was begun, where this machine has as many cores.

    None where nobody knows, or where the user's OMP_NUM_THREADS says otherwise. Another number adds
    up in another order, so that a run that goes on would end with other bits.
    """
    if NUM_THREADS in os.environ:
        return None
    with suppress(DataError):
        found = read_json_object(model_dir / ORIGIN_FILE).get("num_threads")
        if isinstance(found, int) and 1 <= found <= len(os.sched_getaffinity(0)):
            return found
    return None
