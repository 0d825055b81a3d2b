"""How far a job is, how fast, and how long it still takes: one moving line of a terminal.

Where standard error is no terminal nothing moves, so that log files stay short.
"""

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

# Between two looks at the clock of a line that nobody moves.
SECONDS_BETWEEN_TICKS = 0.5


def progress(
    title: str,
    unit: str,
    items: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    done: float = 0,
    stays: bool = True,
    is_shown: bool = True,
) -> Any:
    """A bar with a rate and the time left, over ``items`` or moved by its ``update``.

    Args:
        unit: what is counted; of bytes, "B", thousands are multiples of 1024.
        total: how many there are, if that is known and ``items`` does not say it.
        done: how many were done before.
        stays: the line is left where it is when all is done; else it is not there in the first
            second, so that short jobs show none.
        is_shown: False shows nothing.
    """
    bytes_ = {"unit_scale": True, "unit_divisor": 1024} if unit == "B" else {}
    return tqdm(
        items,
        desc=title,
        unit=unit if unit == "B" else f" {unit}",
        total=total,
        initial=done,
        leave=stays,
        delay=0 if stays else 1,
        dynamic_ncols=True,
        disable=not (is_shown and sys.stderr.isatty()),
        **bytes_,
    )


@contextmanager
def ticking(bar: Any, look: Callable[[], float | None] = lambda: None) -> Iterator[None]:
    """Draw a bar anew every half second, so that its clock goes on between two steps.

    Args:
        look: how far the job is by now; None leaves the bar where it is.
    """
    stop = threading.Event()

    def draw() -> None:
        while not stop.wait(SECONDS_BETWEEN_TICKS):
            if (now := look()) is not None:
                bar.n = now
            bar.refresh()

    thread = threading.Thread(target=draw, daemon=True)
    if not bar.disable:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if not bar.disable:
            thread.join()


@contextmanager
def stages(
    title: str, expectation: str = "", *, is_shown: bool = True
) -> Iterator[Callable[[str], None]]:
    """Say what is being done by a job of which no fraction is known, and since when.

    Args:
        expectation: how long it usually takes, in words.
        is_shown: False says nothing.

    Yields:
        What is told each stage as it begins; without a terminal each is a line of its own.
    """
    if not (is_shown and sys.stderr.isatty()):
        yield lambda stage: print(f"{title}: {stage}", file=sys.stderr) if is_shown else None
        return
    form = "{desc} ({elapsed}" + (f", {expectation}" if expectation else "") + ")"
    with tqdm(bar_format=form, desc=title, leave=False, dynamic_ncols=True) as bar, ticking(bar):
        yield lambda stage: bar.set_description_str(f"{title}: {stage}")


@contextmanager
def reading(title: str, num_bytes: int) -> Iterator[None]:
    """A bar of the bytes that the readers in the block say they have read by :func:`advance_bytes`.

    Args:
        num_bytes: of all files.
    """
    global _tasks_done
    _tasks_done = counted = TasksDone()
    counted.begin_task(num_bytes)
    try:
        with (
            progress(title, "B", total=num_bytes, stays=False) as bar,
            ticking(bar, lambda: counted.number * num_bytes),
        ):
            yield
    finally:
        _tasks_done = None


class TasksDone:
    """How many tasks are done, those at work in part, counted by several processes together."""

    def __init__(self) -> None:
        # Of the way in which the pools here start their processes.
        self._number = multiprocessing.get_context("spawn").Value("d", 0.0)
        self._of_task = 1.0
        self.num_bytes = 0

    def count_here(self) -> None:
        """Count what the tasks of this process say by :func:`advance`, from now on."""
        global _tasks_done
        _tasks_done = self

    def add(self, fraction: float) -> None:
        """So much more of the task at work in this process is done; at most all of it."""
        fraction = min(fraction, 1.0 - self._of_task)
        self._of_task += fraction
        with self._number.get_lock():
            self._number.value += fraction

    def begin_task(self, num_bytes: int) -> None:
        """Another task begins in this process, with so many bytes to read."""
        self._of_task, self.num_bytes = 0.0, num_bytes

    @property
    def number(self) -> float:
        """How many tasks are done, parts of tasks included."""
        return float(self._number.value)


_tasks_done: TasksDone | None = None


def advance(fraction: float) -> None:
    """Say, in the middle of a task, that so much more of it is done; nothing where none counts."""
    if _tasks_done is not None:
        _tasks_done.add(fraction)


def advance_bytes(num_bytes: int) -> None:
    """Say that so many of the bytes were read that the task was said to have."""
    if _tasks_done is not None and _tasks_done.num_bytes:
        _tasks_done.add(num_bytes / _tasks_done.num_bytes)


@contextmanager
def counted_task(num_bytes: int) -> Iterator[None]:
    """The block is one task of those that this process counts, done at its end."""
    if _tasks_done is not None:
        _tasks_done.begin_task(num_bytes)
    yield
    advance(1.0)
