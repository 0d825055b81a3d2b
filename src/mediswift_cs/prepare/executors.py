"""Where tasks run: in this process, in processes beside it, or on a Dask cluster."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, Self

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.config import EngineSettings
from mediswift_cs.prepare.tasks import Result, Task, do


class Engine(Protocol):
    """Runs tasks; started by the first of them and closed at the end of a ``with`` block."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """Yield (place in ``tasks``, result) of each task as it is done.

        Raises:
            ConfigError: the Dask cluster cannot be had.
            DataError: a task failed for a reason of the user's, or a worker died.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def make_engine(settings: EngineSettings) -> Engine:
    """The engine of the settings; by default a worker for each core that may be used."""
    workers = settings.workers or len(os.sched_getaffinity(0))
    if settings.name == "dask":
        return _Dask(workers, settings.scheduler)
    return _Processes(workers) if workers > 1 else _Here()


class _Here:
    """In this process, one after the other."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        for place, task in enumerate(tasks):
            yield place, do(task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _one_thread() -> None:
    """The workers are the parallelism: libraries inside them get one thread each."""
    # Not TOKENIZERS_PARALLELISM=false: in a process that has parsed and cleaned before, tokenizers
    # was 11 % slower in the main thread than in one thread of its own, whose memory is its own too.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"


class _Processes:
    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        if self._pool is None:
            # Not forked: this process has threads (progress bar, numpy), whose locks a fork copies.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, initializer=_one_thread)
        try:
            futures = {self._pool.submit(do, task): place for place, task in enumerate(tasks)}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker died (killed, or out of memory): start again, finished parts are kept"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Dask:
    def __init__(self, workers: int, scheduler: str | None) -> None:
        self._workers, self._scheduler = workers, scheduler
        self._client: Any = None
        self._cluster: Any = None

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        client, as_dask_completed = self._connect()
        # What a task makes is on disk; what it returns is small.
        futures = client.map(do, list(tasks), pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        for future in as_dask_completed(futures, loop=client.loop):
            yield places[future.key], future.result()

    def _connect(self) -> tuple[Any, Any]:
        try:
            import distributed
        except ImportError as error:
            raise ConfigError("engine dask needs `pip install mediswift_cs[dask]`") from error
        library: Any = distributed
        if self._client is None:
            if self._scheduler is None:
                self._cluster = library.LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                )
            address = self._cluster or self._scheduler
            try:
                self._client = library.Client(address, timeout="30s", set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConfigError(f"no Dask scheduler at {self._scheduler}: {error}") from error
            self._client.run(_one_thread)
        return self._client, library.as_completed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._client, self._cluster):
            if each is not None:
                each.close()
