"""Jobs of a replication: each in a folder of its own, several at a time, each done once."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from mediswift_cs.checkpoints.model_dir import METRICS_FILE, list_checkpoints
from mediswift_cs.demo_summary import lines_with
from mediswift_cs.endings import interrupts_blocked
from mediswift_cs.errors import INTERRUPTED_EXIT_CODE, JOB_FAILED_EXIT_CODE, DataError
from mediswift_cs.steps import StepError
from mediswift_cs.storage.processes import process_pool
from mediswift_cs.storage.read import check_type, read_json_object
from mediswift_cs.storage.write import write_json
from mediswift_cs.tuning import ALLOCATOR_SETTINGS, WAIT_SETTINGS

OUTCOME_FILE = "outcome.json"
LOG_FILE = "output.log"
# A process that begins to train does not hear the first interrupt.
SECONDS_BETWEEN_INTERRUPTS = 5.0
# In a worker: begin no other job. A pool hands some out before they are asked for.
_STOPPED = threading.Event()


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to compute, whose results lie in a folder.

    Attributes:
        calls: carried out in turn until one returns another exit code than 0; each goes on where
            it was stopped.
        flops: what a CPU computes for it, pruned weights included.
        may_diverge: exit code 1 is a result, and not the end.
        keeps_checkpoint: another job starts from it.
    """

    folder: Path
    calls: tuple[Callable[[], int], ...]
    flops: float
    may_diverge: bool = False
    keeps_checkpoint: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the results of the job are complete."""
        return (self.folder / OUTCOME_FILE).is_file()


@dataclass(frozen=True)
class _Outcome:
    exit_code: int
    seconds: float
    flops: float


def outcome(folder: Path) -> dict[str, Any]:
    """What became of the job in a folder: exit_code, seconds, and the flops that it was to compute.

    Raises:
        DataError: the file is not one of a job.
    """
    path = folder / OUTCOME_FILE

    def damaged(what: str) -> DataError:
        return DataError(f"no outcome of a job: {what}; remove {folder}")

    return asdict(check_type(_Outcome, read_json_object(path, damaged), str(path), damaged))


def logged(folder: Path, key: str) -> list[float]:
    """The values of a key that the run in a folder has logged, in the order of the steps.

    Raises:
        DataError: there are none.
    """
    if not (values := [line[key] for line in lines_with(folder, key)]):
        raise DataError(
            f"{folder}: got no {key} in its {METRICS_FILE}, allowed: the metrics of a finished "
            "run; remove the folder, and give the command again"
        )
    return check_type(list[float], values, f"{folder / METRICS_FILE}: {key}")


def last_logged(folder: Path, key: str) -> float:
    """The last of these values; infinite where the run diverged."""
    diverged = outcome(folder)["exit_code"] == JOB_FAILED_EXIT_CODE
    return float("inf") if diverged else logged(folder, key)[-1]


def carry_out(job: Job) -> int:
    """Run a job in this process, a worker, and note its outcome; returns the exit code."""
    if _STOPPED.is_set():
        return INTERRUPTED_EXIT_CODE
    job.folder.mkdir(parents=True, exist_ok=True)
    log = os.open(job.folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    begun, code = time.monotonic(), 0
    for call in job.calls:
        if code := INTERRUPTED_EXIT_CODE if _STOPPED.is_set() else call():
            break
    sys.stdout.flush()
    if code == INTERRUPTED_EXIT_CODE:
        _STOPPED.set()
    if code == 0 or (code == JOB_FAILED_EXIT_CODE and job.may_diverge):
        seconds = round(time.monotonic() - begun, 1)
        write_json(
            job.folder / OUTCOME_FILE, {"exit_code": code, "seconds": seconds, "flops": job.flops}
        )
        _clear(job)
    return code


def _clear(job: Job) -> None:
    """Remove the checkpoints that nobody starts from."""
    if not job.keeps_checkpoint:
        for path in list_checkpoints(job.folder):
            path.unlink()


def _begin_worker() -> None:
    """Leave Ctrl-C to the process that gave the job, and to the loop of a training run."""
    os.setpgrp()
    signal.signal(signal.SIGINT, lambda *_: _STOPPED.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@dataclass(kw_only=True)
class Runner:
    """Carries jobs out and says how far it is.

    Attributes:
        num_jobs: at a time, with one thread each.
        is_fresh: each job in a new process, for a host that a process has once.
        total_flops: of all jobs that are planned, for the time left.
        done_flops: of those that are done, by an earlier call too.
    """

    num_jobs: int
    is_fresh: bool
    total_flops: float
    done_flops: float = 0.0
    _own_flops: float = field(default=0.0, init=False)
    _begun: float = field(default_factory=time.monotonic, init=False)

    def run(self, jobs: Sequence[Job]) -> None:
        """Carry out those that are not done, the longest first.

        Raises:
            StepError: one failed, or the whole was stopped.
        """
        missing = [job for job in jobs if not job.is_done]
        for job in jobs:
            if job.is_done:
                _clear(job)
        if not missing:
            return
        for name, value in (ALLOCATOR_SETTINGS | WAIT_SETTINGS).items():
            os.environ.setdefault(name, value)
        pool = process_pool(
            min(self.num_jobs, len(missing)),
            begin=_begin_worker,
            tasks_per_process=1 if self.is_fresh else None,
        )
        try:
            with interrupts_blocked():
                ordered = sorted(missing, key=lambda job: -job.flops)
                futures = {pool.submit(carry_out, job): job for job in ordered}
            for future in as_completed(futures):
                self._take_in(future, futures[future])
        except KeyboardInterrupt as error:
            _stop(pool)
            raise StepError(
                "stopped; give the same command again to go on", INTERRUPTED_EXIT_CODE
            ) from error
        except BaseException:
            _stop(pool)
            raise
        pool.shutdown()

    def _take_in(self, future: "Future[int]", job: Job) -> None:
        try:
            code = future.result()
        except BrokenProcessPool as error:
            raise StepError(
                f"{job.folder}: the process ended, perhaps for want of memory; give the same "
                "command again to go on, with fewer --jobs if need be",
                JOB_FAILED_EXIT_CODE,
            ) from error
        if not job.is_done:
            log = job.folder / LOG_FILE
            last = (log.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]
            raise StepError(f"{log}: exit code {code}: {last}", code)
        self.done_flops += job.flops
        self._own_flops += job.flops
        rate = self._own_flops / (time.monotonic() - self._begun)
        left = max(0.0, self.total_flops - self.done_flops) / rate / 60
        ended = "diverged" if code else f"{outcome(job.folder)['seconds']:.0f} s"
        print(
            f"{min(1.0, self.done_flops / self.total_flops):4.0%}  {job.folder}: {ended}; "
            f"{rate / 1e9:.1f} GFLOP/s, about {left:.0f} min left",
            flush=True,
        )


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the pool: training runs save their state, the others come to their end."""
    pool.shutdown(wait=False, cancel_futures=True)
    while children := multiprocessing.active_children():
        for child in children:
            assert child.pid is not None
            # It may have ended by itself.
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGINT)
        wait([child.sentinel for child in children], SECONDS_BETWEEN_INTERRUPTS)
