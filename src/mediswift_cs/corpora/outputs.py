"""Outputs appear whole or not at all: written under a temporary name beside the final one."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mediswift_cs.errors import DataError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces ``path`` when the block ends without an error.

    Raises:
        DataError: the place cannot be written, or the disk is full.
    """
    temporary = _temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Shows at once, and not after hours of reading, that the place cannot be written.
        temporary.touch(exist_ok=False)
        yield temporary
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
        path.parent.mkdir(parents=True, exist_ok=True)
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


def _temporary_name(path: Path) -> Path:
    return _unique_name(path, "", "partial")


def _unique_name(path: Path, prefix: str, purpose: str) -> Path:
    # Process numbers alone come again: in containers each run may have the same one.
    return path.with_name(f"{prefix}{path.name}.{purpose}-{os.getpid()}-{secrets.token_hex(4)}")


def _remove(path: Path) -> None:
    # Clearing up must not hide the error that made it necessary.
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {error.strerror or error}")
