"""Outputs appear whole or not at all: written under a temporary name, synced, then renamed."""

import errno
import json
import os
import secrets
import shutil
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from mediswift_cs.errors import DataError
from mediswift_cs.storage.lock import is_gone
from mediswift_cs.storage.read import Error, reason_of


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces ``path`` when the block ends without an error.

    Raises:
        DataError: the place cannot be written, or the disk is full.
    """
    temporary = _temporary_name(path)
    try:
        _remove_orphans(path)
        _begin_file(temporary, path)
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        _remove(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder, which takes the place of ``path`` when the block ends well.

    Raises:
        DataError: the place cannot be written, or the disk is full.
    """
    path = path.absolute()
    temporary, old = _temporary_name(path), _unique_name(path, ".", "old")
    try:
        _remove_orphans(path)
        _make_folder(path.parent)
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        _remove(temporary)
        _remove(old)


def check_writable(path: Path) -> None:
    """Find out before the work, and not after it, that :func:`atomic_file` can write ``path``.

    Raises:
        DataError: it cannot.
    """
    temporary = _temporary_name(path)
    try:
        _begin_file(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        _remove(temporary)


def check_folder(folder: Path, error: Error, *, option: str = "") -> None:
    """Make a folder, and find out before the work that files can be written into it.

    ``error`` is raised where they cannot; it names ``option``, which asked for the folder.
    """
    temporary = _temporary_name(folder / "probe")
    try:
        _begin_file(temporary, temporary)
    except OSError as problem:
        where = f"{option} {folder}".lstrip()
        raise error(f"cannot write to {where}: {reason_of(problem)}") from problem
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> Path:
    """Write a text as UTF-8 in one piece; returns ``path``.

    Raises:
        DataError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def append(path: Path, content: bytes) -> None:
    """Add all of ``content`` to the end of a file, or nothing.

    Raises:
        DataError: the file cannot be written.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)
        raise _cannot_write(path, error) from error


def write_json(
    path: Path, content: Mapping[str, Any], *, indent: int | None = 2, ensure_ascii: bool = True
) -> Path:
    """Write a JSON object and a line end in one piece; returns ``path``.

    Raises:
        DataError: the file cannot be written.
    """
    return write_text(path, json.dumps(content, indent=indent, ensure_ascii=ensure_ascii) + "\n")


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial(folder: Path, pattern: str = "*") -> None:
    """Remove what a killed process was writing in ``folder`` under names that fit ``pattern``.

    Call it only where nobody else can be writing, such as while holding a lock.
    """
    for path in [*folder.glob(f"{pattern}.partial-*"), *folder.glob(f".{pattern}.old-*")]:
        _remove(path)


def _begin_file(temporary: Path, path: Path) -> None:
    """Shows at once, and not after hours of reading, that the place cannot be written."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    _make_folder(path.parent)
    temporary.touch(exist_ok=False)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # "File exists" says nothing to whoever wants to write there.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def _temporary_name(path: Path) -> Path:
    return _unique_name(path, "", "partial")


def _unique_name(path: Path, prefix: str, purpose: str) -> Path:
    # Process numbers alone come again: in containers each run may have the same one.
    # Absolute, since a path such as "." has no name.
    path = path.absolute()
    own = f"{os.getpid()}-{_this_machine()}{secrets.token_hex(4)}"
    return path.with_name(f"{prefix}{path.name}.{purpose}-{own}")


def _this_machine() -> str:
    """Eight digits that tell it from others that write to the same disk.

    A container may have its host's name, and process numbers of its own.
    """
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(f'{socket.gethostname()} {namespace}'.encode()):08x}"


def _remove_orphans(path: Path) -> None:
    """Remove what processes of this machine that are no more were writing under this name."""
    path = path.absolute()
    others = [*path.parent.glob(f"{escape(path.name)}.partial-*")]
    # Without what it was moved away for, the old one is all that there is.
    others += path.parent.glob(f".{escape(path.name)}.old-*") if path.exists() else ()
    for other in others:
        process, own = other.name.split("-")[-2:]
        is_ours = own.startswith(_this_machine()) and process.isdecimal()
        if is_ours and is_gone(int(process)):
            _remove(other)


def _remove(path: Path) -> None:
    # Clearing up must not hide the error that made it necessary.
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {reason_of(error)}")
