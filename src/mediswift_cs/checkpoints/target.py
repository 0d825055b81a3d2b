"""The file or folder that a conversion makes: whole or not at all, and by one process at a time."""

import errno
import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediswift_cs.errors import CheckpointError
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.made import is_empty
from mediswift_cs.storage.write import (
    atomic_file,
    atomic_folder,
    check_folder,
    remove_partial,
    sync,
)


@contextmanager
def disk_errors(source: Path, target: Path) -> Iterator[None]:
    """What the system refuses, as one sentence that names source and target."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CheckpointError(
                f"no room for {target}: {reason}; nothing was kept of it"
            ) from error
        raise CheckpointError(f"cannot convert {source} to {target}: {reason}") from error


@contextmanager
def new_target(source: Path, target: Path, num_bytes: int, *, is_folder: bool) -> Iterator[Path]:
    """Yields a temporary path, which gets the target's name when the block ends well.

    What a killed conversion to the same target has left is removed.

    Args:
        source: what is converted, for an error.
        num_bytes: room that is needed.

    Raises:
        CheckpointError: the target cannot be made, has not enough room, or appeared meanwhile.
        DataError: another conversion to the same target is running.
    """
    check_folder(target.parent, CheckpointError)
    check_room(target, num_bytes)
    lock = target.with_name(f".{target.name}.lock")
    with only_process(lock, f"another conversion to {target} is running", is_kept=False):
        remove_partial(target.parent, glob.escape(target.name))
        new = atomic_folder if is_folder else atomic_file
        with new(target) as temporary, disk_errors(source, target):
            yield temporary
            for path in [temporary, *temporary.rglob("*")]:
                sync(path)
            check_free(target)
        sync(target.parent)


def check_free(target: Path) -> None:
    """Raise CheckpointError when something is there already (an empty folder is nothing)."""
    if target.is_symlink() or not is_empty(target):
        raise CheckpointError(f"{target} exists already: give another target, or remove it first")


def check_room(target: Path, num_bytes: int) -> None:
    """Refuse before the work what the disk cannot hold."""
    free = shutil.disk_usage(target.parent).free
    if num_bytes > free:
        raise CheckpointError(
            f"no room for {target}: it takes {num_bytes:,} bytes, {free:,} are free"
        )
