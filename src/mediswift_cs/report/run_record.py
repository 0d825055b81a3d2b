"""What the folder of a run says: its metrics, its newest checkpoint, whether it is at work."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.model_dir import (
    LOCK_FILE,
    METRICS_FILE,
    list_checkpoints,
    metric_lines,
)
from mediswift_cs.checkpoints.record import Record, global_step, stored_params
from mediswift_cs.checkpoints.sparsity_report import (
    COLUMNS,
    SparsityReport,
    count_zeros,
    kept_weights,
)
from mediswift_cs.checkpoints.typed import check_plain
from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.params.run_options import ORIGIN_FILE
from mediswift_cs.params.schema import Params
from mediswift_cs.params.training_cost import tokens_per_step, training_flops
from mediswift_cs.storage.lock import holder_here
from mediswift_cs.storage.read import read_json_object

# Rows and columns of the matrix whose mask is shown, at most.
SHOWN_SIZE = 256
_TRIES = 3
# What a float holds exactly; no run is as long.
_MAX_STEP = 2**53


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """What a checkpoint says.

    Attributes:
        step: updates that were trained; None where it is not kept.
        raw_params: the params that it was made with, as they stand in it; {} without.
        params: the same, checked; None where they are not of this package's schema.
        written_with: names and versions of what wrote it.
        zeros: counted in the file.
        shown: which weights of one matrix are not zero, and which matrix it is.
    """

    path: Path
    step: int | None
    raw_params: dict[str, Any]
    params: Params | None
    written_with: dict[str, str]
    zeros: SparsityReport
    shown: tuple[str, NDArray[np.bool_]] | None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the files of one run say of it.

    Attributes:
        metrics: steps and values of each number in ``metrics.jsonl``, by its name; NaN stands for
            one that was not finite.
        stored: of the newest checkpoint; None without one that can be read.
        problem: why the newest checkpoint cannot be read.
        origin: the content of ``origin.json``.
        process: the process of this machine that is at work on the run.
    """

    label: str
    model_dir: Path
    metrics: dict[str, tuple[list[int], list[float]]]
    stored: StoredModel | None = None
    problem: str | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    process: int | None = None

    @property
    def params(self) -> Params | None:
        """The checked params of a run that trains, where they are known."""
        found = None if self.stored is None else self.stored.params
        return found if found is not None and found.trainer.fit is not None else None

    @property
    def last_step(self) -> int | None:
        """The last step that was logged or saved."""
        saved = self.stored.step if self.stored else None
        steps = [steps[-1] for steps, _ in self.metrics.values()]
        return max((*steps, *([] if saved is None else [saved])), default=None)

    @property
    def tokens_per_step(self) -> int | None:
        """Tokens of one update, padding included; None where no params say it."""
        return None if self.params is None else tokens_per_step(self.params)

    def flops_until(self, step: int, *, as_dense: bool = False) -> int | None:
        """Operations of the steps up to one; masked weights cost nothing unless ``as_dense``."""
        if self.params is None:
            return None
        if step < 1:
            return 0
        tokens = step * tokens_per_step(self.params)
        return training_flops(self.params, tokens, as_dense=as_dense).total


def read_runs(model_dirs: Sequence[Path]) -> list[RunRecord]:
    """The runs in these folders, each once, with labels that tell them apart.

    Raises:
        ConfigError: a folder holds no run.
        DataError: its metrics cannot be read.
    """
    folders = list({path.resolve(): path for path in model_dirs}.values())
    for folder in folders:
        is_run = folder.is_dir() and (
            list_checkpoints(folder)
            or any((folder / name).exists() for name in (METRICS_FILE, ORIGIN_FILE, LOCK_FILE))
        )
        if not is_run:
            raise ConfigError(
                f"MODEL_DIR: got {folder}, allowed: the folder of a run, which holds "
                f"{METRICS_FILE} or checkpoint_*.mdl"
            )
    pairs = zip(labels(folders), folders, strict=True)
    return [_read_run(label, folder) for label, folder in pairs]


def labels(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        found = ["/".join(one[-length:]) for one in parts]
        if len(set(found)) == len(found):
            break
    return found


def _read_run(label: str, folder: Path) -> RunRecord:
    stored, problem = _read_newest(folder)
    origin = folder / ORIGIN_FILE
    return RunRecord(
        label=label,
        model_dir=folder,
        metrics=_by_name(values for _, values in metric_lines(folder / METRICS_FILE)),
        stored=stored,
        problem=problem,
        origin=read_json_object(origin) if origin.exists() else {},
        process=holder_here(folder / LOCK_FILE),
    )


def _by_name(lines: Iterable[dict[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Values by name, in the order of the steps; of two lines of one step the later one counts.

    An evaluation of an old checkpoint adds its line at the end.
    """
    found: dict[str, dict[int, float]] = {}
    for values in lines:
        for name, value in values.items():
            number = _number(value)
            if name != "step" and number is not None and 0 <= values["step"] < _MAX_STEP:
                found.setdefault(name, {})[values["step"]] = number
    ordered = {name: sorted(points.items()) for name, points in found.items()}
    return {
        name: ([step for step, _ in points], [value for _, value in points])
        for name, points in ordered.items()
    }


def _number(value: Any) -> float | None:
    """A value of a line; NaN where it was not finite, None where it is no number."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else math.nan


def _read_newest(folder: Path) -> tuple[StoredModel | None, str | None]:
    """What the newest checkpoint says, or why it cannot be read."""
    problem = None
    # A run that goes on removes old ones meanwhile.
    for _ in range(_TRIES):
        paths = list_checkpoints(folder)
        if not paths:
            break
        try:
            return _read_checkpoint(paths[-1]), None
        except CheckpointError as error:
            problem = str(error)
            if paths[-1].exists():
                break
    return None, problem


def _read_checkpoint(path: Path) -> StoredModel:
    with MdlFile(path) as file:
        state, raw = file.state, stored_params(file.state)
        # They are shown as YAML, and a damaged file may hold anything.
        check_plain(raw, f"the params of {path}")
        version = Record.read(state).version
        zeros = count_zeros(file)
        return StoredModel(
            path=path,
            step=global_step(state, path),
            raw_params=raw,
            params=_checked(raw),
            written_with={
                "mediswift_cs": version or "not written by it",
                "format of cerebras-pytorch": file.cerebras_pytorch_version,
            },
            zeros=zeros,
            shown=_shown(file, zeros),
        )


def _checked(raw: dict[str, Any]) -> Params | None:
    try:
        return Params(**raw)
    except (ValueError, TypeError):
        return None


def _shown(file: MdlFile, zeros: SparsityReport) -> tuple[str, NDArray[np.bool_]] | None:
    """The corner of the first sparse matrix."""
    for layer, fractions in zeros.fractions():
        for title, fraction in zip(COLUMNS, fractions, strict=True):
            kept = kept_weights(file, layer, title, SHOWN_SIZE) if fraction > 0 else None
            if kept is not None:
                return f"{title} of layer {layer}", kept
    return None
