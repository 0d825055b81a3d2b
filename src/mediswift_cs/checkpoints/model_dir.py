"""The folder of a run, ``model_dir``: its files' names, checkpoints and metrics, without torch."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediswift_cs.errors import DataError

METRICS_FILE = "metrics.jsonl"
LOG_FILE = "run.log"
LOCK_FILE = "run.lock"
CHECKPOINT_NAME = re.compile(r"checkpoint_(?P<step>\d+)(?:_\d{8}_\d{6})?\.mdl")


def list_checkpoints(model_dir: Path) -> list[Path]:
    """The finished checkpoints of a run, the oldest step first."""
    found = []
    for path in model_dir.glob("checkpoint_*.mdl"):
        if match := CHECKPOINT_NAME.fullmatch(path.name):
            found.append((int(match["step"]), path.name, path))
    return [path for _, _, path in sorted(found)]


def newest_checkpoint(model_dir: Path) -> Path:
    """The checkpoint of the latest step of a run that has one."""
    return list_checkpoints(model_dir)[-1]


def metric_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a ``metrics.jsonl``, as they stand and what they say; none without a file.

    Lines that are no JSON object with a step are left out: a kill can cut the last one short.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(values, dict) and isinstance(values.get("step"), int):
                    yield line.removesuffix("\n"), values
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
