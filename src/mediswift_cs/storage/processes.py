"""A pool of processes that ends with its parent."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait


def num_usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def process_pool(
    num_workers: int,
    *,
    begin: Callable[[], None] | None,
    tasks_per_process: int | None = None,
) -> ProcessPoolExecutor:
    """A pool whose processes use one thread each, and end when this process is killed.

    Args:
        begin: what each process does first.
        tasks_per_process: after so many a new process takes its place; None: never.
    """
    # Not forked: this process has threads (progress bar, numpy) and perhaps HDF5 at work, whose
    # locks a fork copies as they are.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        num_workers,
        context,
        initializer=_begin_worker,
        initargs=(begin,),
        max_tasks_per_child=tasks_per_process,
    )


def use_one_thread() -> None:
    """Give the libraries of this process one thread each: processes are the parallelism."""
    # Not TOKENIZERS_PARALLELISM=false: in a process that has parsed and cleaned before, tokenizers
    # was 11 % slower in the main thread than in one thread of its own, whose memory is its own too.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"


def _begin_worker(begin: Callable[[], None] | None) -> None:
    if begin is not None:
        begin()
    use_one_thread()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A worker whose parent was killed would wait for work for ever.
    threading.Thread(target=watch, daemon=True).start()
