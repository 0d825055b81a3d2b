"""One process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediswift_cs.errors import DataError


@contextmanager
def only_process(path: Path, refusal: str, *, is_kept: bool = True) -> Iterator[None]:
    """Hold the lock file ``path`` within the block; the system frees it when the process ends.

    Args:
        refusal: what to say where another process holds it.
        is_kept: leave the file behind; else it is removed when the block ends.

    Raises:
        DataError: another process holds the lock, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(refusal) from error
        # Opened before its last holder removed it, it would lock nobody out.
        if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            raise DataError(refusal)
        try:
            yield
        finally:
            if not is_kept:
                path.unlink(missing_ok=True)
