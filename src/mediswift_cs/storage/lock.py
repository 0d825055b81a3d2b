"""One process at a time."""

import errno
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mediswift_cs.errors import DataError

# What a file system without locks answers; there, nobody is kept out.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# Worker processes of a killed holder keep its lock until they notice, which takes them seconds.
_SECONDS_OF_ORPHANS = 15.0
_HOLDER = re.compile(r"process (\d+) on (\S+)")


@contextmanager
def only_process(path: Path, refusal: str, *, is_kept: bool = True) -> Iterator[None]:
    """Hold the lock file ``path`` within the block; the system frees it when the process ends.

    The file names its holder. What a process that is no more has left is taken over.

    Args:
        refusal: what to say where another process holds it; its name is added.
        is_kept: leave the file behind; else it is removed when the block ends.

    Raises:
        DataError: another process holds the lock, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    with lock:
        _take(lock, refusal)
        # Opened before its last holder removed it, it would lock nobody out.
        if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            raise DataError(refusal)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        try:
            yield
        finally:
            if not is_kept:
                path.unlink(missing_ok=True)


def _take(lock: TextIO, refusal: str) -> None:
    end = time.monotonic() + _SECONDS_OF_ORPHANS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            lock.seek(0)
            holder = _HOLDER.fullmatch(lock.read(300))
            is_here = holder is not None and holder[2] == socket.gethostname()
            is_orphaned = holder is not None and is_here and is_gone(int(holder[1]))
            if not is_orphaned or time.monotonic() > end:
                raise DataError(refusal + (f" ({holder[0]})" if holder else "")) from error
        time.sleep(0.2)


def holder_here(path: Path) -> int | None:
    """The process of this machine that took a lock file last, if it is still there.

    None where nobody knows: the file is absent, or speaks of another machine.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = _HOLDER.fullmatch(file.read(300))
    except OSError:
        return None
    if found is None or found[2] != socket.gethostname() or is_gone(int(found[1])):
        return None
    return int(found[1])


def is_gone(process: int) -> bool:
    """Whether no process has this number here; /proc may not show those of other users."""
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as error:
        return not isinstance(error, PermissionError)
    return False
