"""Stopping a run by a signal: what was asked for, and what the user is told at once."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from mediswift_cs.endings import send_what_is_put_off
from mediswift_cs.training import ranks

FORWARDED_SIGNAL_SECONDS = 2.0

AFTER_STEP = "stopping after the step under way and its checkpoint"
AFTER_BATCH = "giving the evaluation up; the step before it is saved"


@dataclass
class StopRequest:
    """Set by Ctrl-C or a termination signal; the loop stops as soon as it can.

    Attributes:
        signal_name: of the first signal.
        answer: what a signal is told at once.
    """

    signal_name: str | None = None
    answer: str = AFTER_STEP

    def tell(self) -> None:
        """Say what the stop waits for; not to the log, whose lock the step may hold."""
        line = f"\n{self.signal_name}: {self.answer}; once more to end at once\n"
        with suppress(OSError):
            os.write(2, line.encode())


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one ends the process at once."""
    # One that came before: there is no step to wait for.
    send_what_is_put_off()
    request = StopRequest()
    # A terminal's Ctrl-C reaches each rank twice: torchrun hands its own on at once.
    ignored_seconds = FORWARDED_SIGNAL_SECONDS if ranks.num_ranks() > 1 else 0.0
    first_time: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal_name is None:
            request.signal_name = signal.Signals(number).name
            if ranks.is_main():
                request.tell()
        now = time.monotonic()
        if now - first_time.setdefault(number, now) > ignored_seconds:
            signal.default_int_handler(number, frame)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
