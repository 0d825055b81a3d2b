"""Running conversion jobs, on several processes where that pays."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from mediswift_cs.checkpoints.partial import PartialFolder, sync
from mediswift_cs.checkpoints.place import PartReport
from mediswift_cs.errors import CheckpointError

# Starting a process takes as long as converting about this much.
_WORTH_A_PROCESS = 256 * 2**20
# How much may be lost when the machine (not just the process) stops.
_SYNC_BYTES = 256 * 2**20
# Each process holds one tensor; more of them than this wait for the disk.
_MOST_WORKERS = 4


class Job(Protocol):
    """One tensor to convert; can be sent to another process."""

    @property
    def name(self) -> str:
        """Of the tensor; no two jobs share one."""

    @property
    def num_bytes(self) -> int:
        """Bytes to be written."""

    @property
    def memory_bytes(self) -> int:
        """Bytes held at most while it runs."""

    @property
    def target_paths(self) -> tuple[Path, ...]:
        """The files that are written to."""

    def run(self) -> list[PartReport]:
        """Do it."""


Finished = tuple[str, list[PartReport]]


def default_num_workers(num_bytes: int) -> int:
    """How many processes to use; 0 is this one."""
    if num_bytes < _WORTH_A_PROCESS:
        return 0
    return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def run_jobs(jobs: Sequence[Job], folder: PartialFolder, num_workers: int) -> list[PartReport]:
    """Do what ``folder`` does not have yet; returns the reports of all jobs in their order.

    Raises:
        CheckpointError: a job met a number or a file that it must not convert, or a full disk.
    """
    pending = [job for job in jobs if job.name not in folder.done]
    bar = tqdm(
        total=sum(job.num_bytes for job in jobs),
        initial=sum(job.num_bytes for job in jobs if job.name in folder.done),
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc="converting",
        disable=None,
    )
    unsynced: list[Finished] = []
    num_bytes = 0
    try:
        with bar:
            for job, reports in _finished(pending, num_workers):
                unsynced.append((job.name, reports))
                num_bytes += job.num_bytes
                bar.update(job.num_bytes)
                if num_bytes >= _SYNC_BYTES:
                    _record(folder, jobs, unsynced)
                    unsynced, num_bytes = [], 0
            _record(folder, jobs, unsynced)
    except BrokenProcessPool as error:
        raise CheckpointError(
            "a conversion process was killed, perhaps for want of memory; allowed: fewer of them, "
            "--num-workers 0"
        ) from error
    return [report for job in jobs for report in folder.done[job.name]]


def _record(folder: PartialFolder, jobs: Sequence[Job], finished: list[Finished]) -> None:
    names = {name for name, _ in finished}
    for path in {path for job in jobs if job.name in names for path in job.target_paths}:
        sync(path)
    folder.record(finished)


def _finished(jobs: Sequence[Job], num_workers: int) -> Iterator[tuple[Job, list[PartReport]]]:
    """Each job with its reports, as they finish."""
    if num_workers == 0:
        for job in jobs:
            yield job, job.run()
        return
    pool = ProcessPoolExecutor(
        num_workers,
        # A forked child could inherit HDF5's locks in a held state.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    )
    try:
        futures: dict[Future[list[PartReport]], Job] = {pool.submit(_run, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(job: Job) -> list[PartReport]:
    return job.run()


def _end_with_parent() -> None:
    """Without this, workers of a killed conversion would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
