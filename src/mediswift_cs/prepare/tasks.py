"""Tasks that are done once: each leaves a marker that says from what, and is then skipped.

A task's ``key`` is a hash of everything that its outputs depend on. The marker is written last, so
whatever a killed task left behind is made again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NotRequired, TypedDict, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mediswift_cs import __version__
from mediswift_cs.storage.write import atomic_file, write_json

FORMAT_VERSION = 1


class Result(TypedDict):
    """What a task returns and its marker keeps, as JSON; each kind of task adds its own entries.

    ``counts`` are records or documents by what became of them. ``content`` identifies what the task
    made: the tasks that read it depend on this alone. A task that does not set it has made what its
    key says.
    """

    counts: NotRequired[dict[str, int]]
    content: NotRequired[str]


R = TypeVar("R", bound=Result)


def digest_of(*content: object) -> str:
    """sha256 of JSON content, of the package version and of the format version."""
    text = json.dumps([FORMAT_VERSION, __version__, *content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Task(Generic[R]):
    """One unit of work that can be sent to another process.

    Attributes:
        run: makes the outputs; a ``functools.partial`` of a module's function, so that it can be
            sent.
        marker: path of the marker, ``FOLDER/NAME.json``.
        num_bytes: of the input it comes from; the largest tasks begin first, so that no worker is
            left with one of them when the others are done.
        outputs: paths that have to be there if the marker is.
    """

    run: Callable[[], R]
    key: str
    marker: Path
    num_bytes: int = 0
    outputs: tuple[Path, ...] = ()

    def result_if_done(self) -> R | None:
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
        return cast(R, found["result"])


def do(task: Task[R]) -> R:
    """Run a task and leave its marker."""
    task.marker.unlink(missing_ok=True)
    task.marker.parent.mkdir(parents=True, exist_ok=True)
    result = task.run()
    as_any_result: Result = result
    as_any_result.setdefault("content", digest_of(task.key))
    content = {"key": task.key, "result": result}
    write_json(task.marker, content, indent=None, ensure_ascii=False)
    return result


def num_counted(result: Result) -> int:
    """How many records or documents a task worked on."""
    return sum(result.get("counts", {}).values())


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums of numbers by name; names stand in the order in which they first occur."""
    result: Counter[str] = Counter()
    for each in counts:
        result.update(each)
    return dict(result)
