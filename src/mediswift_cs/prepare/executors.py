"""Where tasks run: in this process, in processes beside it, or on a Dask cluster.

All three are executors of ``concurrent.futures``.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.prepare.config import EngineSettings
from mediswift_cs.storage.processes import num_usable_cores, process_pool, use_one_thread


@contextmanager
def task_executor(settings: EngineSettings) -> Iterator[Executor]:
    """The executor of the settings; by default with a worker for each core that may be used.

    Raises:
        ConfigError: the Dask cluster cannot be had.
    """
    num_workers = settings.workers or num_usable_cores()
    if settings.name == "dask":
        with _dask_executor(num_workers, settings.scheduler) as executor:
            yield executor
        return
    executor = process_pool(num_workers) if num_workers > 1 else _InThisProcess()
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


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
            cluster.close()
