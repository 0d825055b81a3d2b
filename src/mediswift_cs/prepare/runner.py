"""Runs the tasks of a stage that are not done yet, and tells how fast."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Self

from tqdm import tqdm

from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import EngineSettings
from mediswift_cs.prepare.executors import task_executor
from mediswift_cs.prepare.tasks import R, Task, do, num_counted


class TaskRunner:
    """Brings tasks to where they run; starts workers for the first that has to be done.

    Used in a ``with`` block, at whose end the workers are gone.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._executor: Executor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def results(self, name: str, tasks: Sequence[Task[R]], *, stage: str | None) -> list[R]:
        """The results of all tasks, in their order, of which the missing ones are done now.

        Args:
            name: what the tasks are called on standard error.
            stage: the stage that they are of, if nothing of it may be done now; None if it may.

        Raises:
            ConfigError: the Dask cluster cannot be had.
            DataError: a task is missing and may not be done, failed for a reason of the user's, or
                its worker died.
        """
        found = [task.result_if_done() for task in tasks]
        todo = [number for number, result in enumerate(found) if result is None]
        if todo and stage is not None:
            raise DataError(
                f"stage {stage} is not done ({len(todo)} parts are missing): run it too"
            )
        if stage is None:
            # What was wrong with a file, an unplugged disk or an old .md5, may have been mended.
            todo += [n for n, result in enumerate(found) if result and result.get("quarantined")]
        todo.sort(key=lambda number: -tasks[number].num_bytes)
        started = time.monotonic()
        new = self._run(name, tasks, todo) if todo else {}
        seconds = time.monotonic() - started
        number = sum(map(num_counted, new.values()))
        rate = f", {number:,} records or documents ({number / seconds:,.0f}/s)"
        print(
            f"{name}: {len(todo)} of {len(tasks)} parts done in {seconds:.1f} s"
            + (rate if number else "")
            + (f", {len(tasks) - len(todo)} were there" if len(todo) < len(tasks) else ""),
            file=sys.stderr,
        )
        all_results = [new.get(number, result) for number, result in enumerate(found)]
        return [result for result in all_results if result is not None]

    def _run(self, name: str, tasks: Sequence[Task[R]], todo: Sequence[int]) -> dict[int, R]:
        if self._executor is None:
            self._executor = self._stack.enter_context(task_executor(self._settings))
        there = len(tasks) - len(todo)
        try:
            with tqdm(
                total=len(tasks), initial=there, desc=name, unit="part", disable=None
            ) as progress:
                futures = {}
                for number in todo:
                    futures[number] = self._executor.submit(do, tasks[number])
                    futures[number].add_done_callback(lambda _: progress.update())
                # The first that fails ends the run.
                for future in as_completed(futures.values()):
                    future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker died (killed, or out of memory): start again, finished parts are kept"
            ) from error
        return {number: future.result() for number, future in futures.items()}
