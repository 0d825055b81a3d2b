"""The folder in which a conversion grows: it gets its final name only when it is complete."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mediswift_cs.checkpoints.place import PartReport
from mediswift_cs.errors import CheckpointError

JOURNAL_NAME = "conversion.jsonl"


class PartialFolder:
    """``.NAME.partial`` beside the target, with a journal of the tensors that are done.

    A conversion that was killed leaves it behind, and the same conversion goes on from there;
    after an error it is removed. Use it as a context manager.

    Attributes:
        path: the folder.
        done: reports of the finished jobs, by job name.
    """

    def __init__(self, target: Path, plan: Mapping[str, Any]) -> None:
        """``plan`` is what decides the result: a journal of another plan is not continued.

        Raises CheckpointError where the target exists or its folder cannot be written.
        """
        self.target = target
        self.path = target.with_name(f".{target.name}.partial")
        self._plan = json.dumps(plan, sort_keys=True)
        self.done: dict[str, list[PartReport]] = {}
        check_free(target)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._journal = (self.path / JOURNAL_NAME).open("a+", encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"cannot write to {target.parent}: {error.strerror}") from error
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._journal.close()
            raise CheckpointError(f"another conversion to {target} is running") from error
        self._read_journal()

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier run has done a part."""
        return bool(self.done)

    def _read_journal(self) -> None:
        self._journal.seek(0)
        lines = self._journal.read().splitlines(keepends=True)
        if lines and lines[0] == self._plan + "\n":
            for line in lines[1:]:
                # The last line may have been cut when the run was killed.
                if line.endswith("\n"):
                    entry = json.loads(line)
                    self.done[entry["job"]] = [PartReport(**item) for item in entry["reports"]]
            return
        for leftover in self.path.iterdir():
            if leftover.name != JOURNAL_NAME:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        self._journal.truncate(0)
        self._write_journal([self._plan])

    def record(self, finished: Iterable[tuple[str, list[PartReport]]]) -> None:
        """Note jobs as done. Their numbers must be on the disk already."""
        lines = []
        for job, reports in finished:
            self.done[job] = reports
            lines.append(json.dumps({"job": job, "reports": [asdict(item) for item in reports]}))
        self._write_journal(lines)

    def _write_journal(self, lines: list[str]) -> None:
        self._journal.write("".join(f"{line}\n" for line in lines))
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def publish(self, file: str | None = None) -> None:
        """Give the result its name: the whole folder, or one ``file`` of it."""
        for path in self.path.rglob("*"):
            if path.is_file() and path.name != JOURNAL_NAME:
                sync(path)
        check_free(self.target)
        if file is not None:
            (self.path / file).replace(self.target)
            shutil.rmtree(self.path)
        else:
            (self.path / JOURNAL_NAME).unlink()
            self.path.replace(self.target)
        sync(self.target.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()
        # KeyboardInterrupt and the like are no Exception: those are continued.
        if isinstance(error, Exception):
            shutil.rmtree(self.path, ignore_errors=True)


def check_free(target: Path) -> None:
    """Raise CheckpointError when something is there already (an empty folder is nothing)."""
    if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise CheckpointError(f"{target} exists already: give another target, or remove it first")


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
