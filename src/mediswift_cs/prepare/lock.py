"""One run at a time in an output folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediswift_cs.errors import DataError


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the lock of ``output/work`` within the block; two runs would remove each other's files.

    Raises:
        DataError: another run holds it, or the folder cannot be written.
    """
    try:
        (output / "work").mkdir(parents=True, exist_ok=True)
        lock = (output / "work" / "lock").open("w")
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"another run is at work in {output}") from error
        yield
