"""Tasks that are done once: each leaves a marker that says from what, and is then skipped.

A task's ``key`` is a hash of everything that its outputs depend on. The marker is written last, so
whatever a killed task left behind is made again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs import __version__
from mediswift_cs.storage.write import atomic_file

FORMAT_VERSION = 1

Result = dict[str, Any]


def digest_of(*content: object) -> str:
    """sha256 of JSON content, of the package version and of the format version."""
    text = json.dumps([FORMAT_VERSION, __version__, *content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One unit of work that can be sent to another process.

    Attributes:
        run: a module's function (so that it can be sent); makes the outputs, returns a Result whose
            "content" identifies what it made.
        marker: path of the marker, ``FOLDER/NAME.json``.
        num_bytes: of the input it comes from; the largest tasks begin first, so that no worker is
            left with one of them when the others are done.
        outputs: paths that have to be there if the marker is.
        settings: arguments of ``run``, beside the task.
    """

    run: Callable[["Task"], Result]
    name: str
    key: str
    marker: Path
    num_bytes: int = 0
    outputs: tuple[Path, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def result_if_done(self) -> Result | None:
        """What the task returned when it was done with the same key, None if it has to be done."""
        try:
            found = json.loads(self.marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Damaged markers cannot come from this package: they are replaced as a whole.
            return None
        if not isinstance(found, dict) or found.get("key") != self.key:
            return None
        if not all(path.exists() for path in self.outputs):
            return None
        result = found["result"]
        assert isinstance(result, dict)
        return result


def do(task: Task) -> Result:
    """Run a task and leave its marker."""
    task.marker.parent.mkdir(parents=True, exist_ok=True)
    task.marker.unlink(missing_ok=True)
    result = task.run(task)
    with atomic_file(task.marker) as temporary:
        content = {"key": task.key, "result": result}
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return result
