"""Tasks that are done once: each leaves a marker that says from what, and is then skipped.

A task's ``key`` is a hash of everything that its outputs depend on. The marker is written last, so
whatever a killed task left behind is made again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt

from mediswift_cs import __version__
from mediswift_cs.storage.write import atomic_file, write_json

# Another one where the same inputs give other results.
FORMAT_VERSION = 2


class Result(TypedDict, total=False):
    """What a task returns and its marker keeps, as JSON; each stage has its own entries.

    Attributes:
        content: identifies what the task made: the tasks that read it depend on this alone. A task
            that does not set it has made what its key says.
        counts: records or documents by what became of them.
        files: of ``parse``, the input files: path, bytes and md5.
        quarantined: of ``parse``, file and reason.
        first_files: of ``parse``, by outcome, the first file with a record that it became of.
        unlisted_elements: of ``parse``, names of elements that were read as text because the reader
            does not know them, in articles that are kept, and how often.
        retracted_articles: of ``parse``, (id, version): an earlier version must not stay in their
            place.
        deletions: of ``resolve``, PMIDs listed in DeleteCitation, and how many of them had been
            read before.
        changes: of ``clean``, how often each kind of change was made.
        benchmark_copies: of ``guard``, the ids found, whether they are dropped or only reported.
        statistics: of ``guard``, :class:`mediswift_cs.prepare.guard.Statistics` as JSON.
        entry: of ``guard``, the file of the documents, as in ``files``.
        sha256, vocab_size, eos_id: of ``tokenizer``, as in
            :class:`mediswift_cs.tokens.manifest.TokenizerEntry`.
        splits: of ``tokens`` and ``hdf5``, a :class:`mediswift_cs.tokens.manifest.SplitEntry` each,
            as JSON.
    """

    content: str
    counts: dict[str, int]
    files: list[dict[str, Any]]
    quarantined: list[dict[str, str]]
    first_files: dict[str, str]
    unlisted_elements: dict[str, int]
    retracted_articles: list[tuple[str, int]]
    deletions: dict[str, int]
    changes: dict[str, int]
    benchmark_copies: list[str]
    statistics: dict[str, Any]
    entry: dict[str, Any]
    sha256: str
    vocab_size: int
    eos_id: int
    splits: dict[str, dict[str, Any]]


def digest_of(*content: object) -> str:
    """sha256 of JSON content, of the package version and of the format version."""
    text = json.dumps([FORMAT_VERSION, __version__, *content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One unit of work that can be sent to another process.

    Attributes:
        run: makes the outputs; a ``functools.partial`` of a module's function, so that it can be
            sent.
        marker: path of the marker, ``FOLDER/NAME.json``.
        num_bytes: of the input it comes from; the largest tasks begin first, so that no worker is
            left with one of them when the others are done.
        outputs: paths that have to be there if the marker is.
    """

    run: Callable[[], Result]
    key: str
    marker: Path
    num_bytes: int = 0
    outputs: tuple[Path, ...] = ()

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
        return cast(Result, found["result"])


def do(task: Task) -> Result:
    """Run a task and leave its marker."""
    task.marker.unlink(missing_ok=True)
    task.marker.parent.mkdir(parents=True, exist_ok=True)
    result = task.run()
    result.setdefault("content", digest_of(task.key))
    write_json(task.marker, {"key": task.key, "result": result}, indent=None, ensure_ascii=False)
    return result


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def total(
    name: Literal["counts", "changes", "unlisted_elements"], results: Iterable[Result]
) -> dict[str, int]:
    """The sums of a kind of number; its names stand in the order in which they first occur."""
    numbers: Counter[str] = Counter()
    for result in results:
        numbers.update(result.get(name, {}))
    return dict(numbers)
