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
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mediswift_cs import __version__
from mediswift_cs.storage.write import atomic_file, write_text

# Another one where the same inputs give other results.
FORMAT_VERSION = 3


class Result(BaseModel):
    """What a task returns, and what its marker keeps as JSON; each stage adds its own entries.

    Attributes:
        key: of the task that was done.
        content: identifies what the task made: the tasks that read it depend on this alone. A task
            that does not set it has made what its key says.
        counts: records or documents by what became of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = ""
    content: str = ""
    counts: dict[str, int] = {}

    @property
    def may_change(self) -> bool:
        """Whether the same task may do better next time: a file may have been mended."""
        return False


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
        returns: the class of what it returns.
        marker: path of the marker, ``FOLDER/NAME.json``.
        num_bytes: of the input it comes from; the largest tasks begin first, so that no worker is
            left with one of them when the others are done.
        outputs: paths that have to be there if the marker is.
    """

    run: Callable[[], R]
    returns: type[R]
    key: str
    marker: Path
    num_bytes: int = 0
    outputs: tuple[Path, ...] = ()

    def result_if_done(self) -> R | None:
        """What the task returned when it was done with the same key, None if it has to be done."""
        try:
            found = self.returns.model_validate_json(self.marker.read_bytes())
        except (OSError, ValueError):
            # Damaged markers cannot come from this package: they are replaced as a whole.
            return None
        is_done = found.key == self.key and all(path.exists() for path in self.outputs)
        return found if is_done else None


def do(task: Task[R]) -> R:
    """Run a task and leave its marker."""
    task.marker.unlink(missing_ok=True)
    task.marker.parent.mkdir(parents=True, exist_ok=True)
    made = task.run()
    result = made.model_copy(update={"key": task.key, "content": made.content or task.key})
    write_text(task.marker, result.model_dump_json())
    return result


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def total(numbers: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums by name; the names stand in the order in which they first occur."""
    sums: Counter[str] = Counter()
    for each in numbers:
        sums.update(each)
    return dict(sums)
