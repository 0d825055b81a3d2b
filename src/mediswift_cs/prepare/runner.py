"""Runs the tasks of a stage that are not done yet, and tells how fast.

They run in this process, in processes beside it, or on a Dask cluster: all three are executors of
``concurrent.futures``.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.config import EngineSettings
from mediswift_cs.prepare.tasks import R, Task, do
from mediswift_cs.progress import TasksDone, counted_task, progress, ticking
from mediswift_cs.storage.processes import num_usable_cores, process_pool, use_one_thread


class TaskRunner(ExitStack):
    """Brings tasks to where they run; starts workers for the first that has to be done.

    Used in a ``with`` block, at whose end the workers are gone.
    """

    def __init__(self, settings: EngineSettings, *, quiet: bool) -> None:
        super().__init__()
        self._settings = settings
        self._quiet = quiet
        self._executor: Executor | None = None
        self._done = TasksDone()

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
            todo += [n for n, result in enumerate(found) if result and result.may_change]
        todo.sort(key=lambda number: -tasks[number].num_bytes)
        started = time.monotonic()
        new = self._run(name, tasks, todo) if todo else {}
        seconds = time.monotonic() - started
        number = sum(sum(result.counts.values()) for result in new.values())
        rate = f", {number:,} records or documents ({number / seconds:,.0f}/s)"
        if not self._quiet:
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
            self._executor = self.enter_context(_task_executor(self._settings, self._done))
        there, done_before = len(tasks) - len(todo), self._done.number
        futures: dict[int, Future[R]] = {}

        def how_far() -> float:
            # A cluster's workers do not count parts of tasks.
            whole = sum(future.done() for future in list(futures.values()))
            return there + round(max(whole, self._done.number - done_before), 2)

        try:
            with (
                progress(name, "parts", total=len(tasks), done=there) as bar,
                ticking(bar, how_far),
            ):
                for number in todo:
                    futures[number] = self._executor.submit(_do_counted, tasks[number])
                # The first that fails ends the run.
                for future in as_completed(futures.values()):
                    future.result()
                bar.update(len(tasks) - bar.n)
        except _deaths() as error:
            raise DataError(
                "a worker died (killed, or out of memory): start again, finished parts are kept"
            ) from error
        return {number: future.result() for number, future in futures.items()}


def _do_counted(task: Task[R]) -> R:
    with counted_task(task.num_bytes):
        return do(task)


def _deaths() -> tuple[type[Exception], ...]:
    """What is raised for a task whose worker died."""
    dask = sys.modules.get("distributed.scheduler")
    return (BrokenProcessPool, dask.KilledWorker) if dask else (BrokenProcessPool,)


@contextmanager
def _task_executor(settings: EngineSettings, done: TasksDone) -> Iterator[Executor]:
    """The executor of the settings; by default with a worker for each core that may be used.

    Args:
        done: where the processes of this machine count their tasks.

    Raises:
        ConfigError: the Dask cluster cannot be had.
    """
    num_workers = settings.workers or num_usable_cores()
    if settings.name == "dask":
        with _dask_executor(num_workers, settings.scheduler) as executor:
            yield executor
        return
    if num_workers == 1:
        done.count_here()
    several = num_workers > 1
    pool = process_pool(num_workers, begin=done.count_here) if several else _InThisProcess()
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _InThisProcess(Executor):
    """Does at once what it is given; an error ends the run before the next task begins."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def _dask_executor(num_workers: int, scheduler: str | None) -> Iterator[Executor]:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError("engine dask needs `pip install mediswift_cs[dask]`") from error
    library: Any = distributed
    cluster = None
    if scheduler is None:
        cluster = library.LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        )
    try:
        try:
            client = library.Client(cluster or scheduler, timeout="30s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler at {scheduler}: {error}") from error
        with client:
            client.run(use_one_thread)
            # What a task makes is on disk; what it returns is small.
            yield client.get_executor(pure=False)
    finally:
        if cluster is not None:
            # distributed's nanny fails so where it is about to restart a dead worker; the processes
            # are daemons of this one. What the user is to be told is that the worker died.
            with suppress(AssertionError):
                cluster.close()
