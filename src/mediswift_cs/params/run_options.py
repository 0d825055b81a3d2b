"""What the command line of a run says beside the params; imports nothing heavy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mediswift_cs.errors import ConfigError, DataError

Mode = Literal["train", "eval", "train_and_eval", "eval_all"]
Engine = Literal["auto", "builtin", "modelzoo"]
"""The package's own loop, or ModelZoo's Trainer; auto takes ModelZoo where it is importable."""
CheckData = Literal["train", "eval", "both", "none"]
"""The dataloaders whose folders must be there and fit the model."""

# The data that must be there before a run in this mode.
CHECKED_DATA: dict[Mode, CheckData] = {
    "train": "train",
    "eval": "eval",
    "train_and_eval": "both",
    "eval_all": "eval",
}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The choices of one run, whichever loop carries it out.

    Attributes:
        device: CPU, GPU or CSX.
        model_dir: where results go.
        checkpoint_path: the .mdl file to start from or to evaluate; None leaves the choice to the
            params and to model_dir.
    """

    device: str
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
