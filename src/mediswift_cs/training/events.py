"""The event file of a run, for TensorBoard."""

import io
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from mediswift_cs.storage.write import append, atomic_file

FILE_PREFIX = "events.out.tfevents."
# Of files in which a session's start, and not a lower step, makes TensorBoard drop what it has.
FORMAT_VERSION = "brain.Event:2"

Values = Mapping[str, float | None]


class EventFile:
    """The one event file of a folder; opening it writes it anew from what the run has written down.

    TensorBoard reads the files of a folder in the order of their names, which begin with the time,
    and does not see what comes in a name before the last: where the clock was set back, a second
    file would be lost. One that is watching finds the next file from the last one that it has read,
    which therefore stays, empty; the new file tells it to drop what it knows.
    """

    def __init__(self, folder: Path, lines: Iterable[tuple[int, Values]]) -> None:
        """``lines``: steps with their values. They take the place of the event files there.

        Raises:
            DataError: the file cannot be written.
        """
        old = sorted(folder.glob(f"{FILE_PREFIX}*"))
        self.path = folder / _name_after(old)
        begin = Event(wall_time=time.time(), session_log=SessionLog(status=SessionLog.START))
        head = [Event(wall_time=time.time(), file_version=FORMAT_VERSION), begin]
        points = (_event(step, values) for step, values in lines)
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(_records(chain(head, points)))
        for path in old[:-1]:
            path.unlink(missing_ok=True)
        for path in old[-1:]:
            os.truncate(path, 0)

    def write(self, step: int, values: Values) -> None:
        """Add a point for each value; one that is not finite, as a missing one, is not a number.

        Raises:
            DataError: the file cannot be written.
        """
        append(self.path, _records([_event(step, values)]))


def _event(step: int, values: Values) -> Any:
    event = Event(wall_time=time.time(), step=step)
    for name, value in values.items():
        event.summary.value.add(tag=name, simple_value=math.nan if value is None else value)
    return event


def _records(events: Iterable[Any]) -> bytes:
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    return content.getvalue()


def _name_after(old: Iterable[Path]) -> str:
    """A name as TensorBoard's own writers give, later than every one that is there."""
    numbers = [path.name.removeprefix(FILE_PREFIX).split(".")[0] for path in old]
    newest = max((int(number) for number in numbers if number.isdecimal()), default=0)
    number = max(int(time.time()), newest + 1)
    return f"{FILE_PREFIX}{number:010d}.{socket.gethostname()}.{os.getpid()}.0"
