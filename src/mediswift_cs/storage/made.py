"""Whether an output is there already: made by whom, and with what."""

from collections.abc import Iterable
from pathlib import Path

from mediswift_cs.errors import DataError

_OTHERWISE = "give another output, or --overwrite to replace it"


def is_empty(output: Path) -> bool:
    """Whether nothing is at ``output``, or an empty folder, which is nothing."""
    if output.is_symlink() or output.is_file():
        return False
    return not output.exists() or not any(output.iterdir())


def is_unbegun(folder: Path, first: Path) -> bool:
    """Whether a folder has nothing yet of a command that writes the file ``first`` before others.

    One that was killed before that file was whole may have left the folders on the way to it, and
    what it was writing under a temporary name.
    """
    if is_empty(folder):
        return True
    return folder.is_dir() and all(
        path in first.parents or str(path).startswith(f"{first}.partial-")
        for path in folder.rglob("*")
    )


def no_output_of_ours(output: Path, manifest: str) -> DataError:
    """The error for an output without ``manifest``, the file that says what made it."""
    return DataError(f"{output} exists without {manifest}: {_OTHERWISE}")


def check_same(output: Path, different: Iterable[str]) -> None:
    """See that an output is the one that would be made now.

    Args:
        different: the names of the settings that were others when it was made.

    Raises:
        DataError: there is one.
    """
    if names := ", ".join(different):
        raise DataError(f"{output} was made with other {names}: {_OTHERWISE}")
