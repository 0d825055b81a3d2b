"""The event file of a run, for TensorBoard."""

import io
import math
import socket
import time
from collections.abc import Iterable, Mapping
from os import getpid
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
    and drops what comes in a name before the last: a second file would be lost where the clock was
    set back. One that is watching takes up the new file, and drops what it has of the old ones.
    """

    def __init__(self, folder: Path, lines: Iterable[tuple[int, Values]]) -> None:
        """``lines``: steps with their values. Other event files of the folder are removed.

        Raises:
            DataError: the file cannot be written.
        """
        old = list(folder.glob(f"{FILE_PREFIX}*"))
        self.path = folder / _name_after(old)
        begin = Event(wall_time=time.time(), session_log=SessionLog(status=SessionLog.START))
        events = [Event(wall_time=time.time(), file_version=FORMAT_VERSION), begin]
        events += [_event(step, values) for step, values in lines]
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(_records(events))
        for path in old:
            path.unlink(missing_ok=True)

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
    return f"{FILE_PREFIX}{number:010d}.{socket.gethostname()}.{getpid()}.0"
