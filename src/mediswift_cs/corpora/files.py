"""Input files: which ones, and what they are (size and md5)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.errors import DataError
from mediswift_cs.progress import progress
from mediswift_cs.storage.checksums import md5_of

# "MD5(name)= 0123..." as NLM writes it, or "0123...  name" as md5sum does.
_MD5 = re.compile(r"(?:^|=\s*)([0-9a-fA-F]{32})\b")


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file and what identifies its content; ``name`` is relative to the folder that was given."""

    path: Path
    name: str
    num_bytes: int
    md5: str

    def entry(self) -> SourceEntry:
        """What the manifest of a corpus says of this file."""
        return SourceEntry(path=self.name, bytes=self.num_bytes, md5=self.md5)


def find_files(inputs: Iterable[Path], suffixes: Sequence[str]) -> list[tuple[Path, str]]:
    """The input files with the names to record for them, in reading order.

    A folder stands for the files below it whose names end in one of ``suffixes``, in upper or lower
    case, but for hidden ones. A file is taken whatever its name. The order is that of the names,
    whatever the order of the arguments: PubMed numbers its baseline and update files in the order
    in which they apply.

    Raises:
        DataError: a path does not exist, or a folder has no such file.
    """
    found: dict[Path, tuple[Path, str]] = {}
    for given in map(Path, inputs):
        if given.is_file():
            found.setdefault(given.resolve(), (given, given.name))
        elif given.is_dir():
            inside = [(path, path.relative_to(given).as_posix()) for path in given.rglob("*")]
            inside = [
                (path, name)
                for path, name in inside
                # What is hidden is nobody's input: the work of a command that was killed.
                if name.lower().endswith(tuple(suffixes))
                and path.is_file()
                and "/." not in f"/{name}"
            ]
            if not inside:
                raise DataError(f"no {' or '.join(suffixes)} file in folder {given}")
            for path, name in inside:
                found.setdefault(path.resolve(), (path, name))
        else:
            raise DataError(f"input {given} does not exist")
    return sorted(found.values(), key=lambda file: (file[0].name, file[1]))


def describe_files(files: Sequence[tuple[Path, str]], *, quiet: bool = False) -> list[InputFile]:
    """Size and md5 of each file, compared with the ``.md5`` file beside it where there is one.

    Args:
        quiet: show no progress.

    Raises:
        DataError: a file cannot be read, or its md5 is not the one beside it.
    """
    described = []
    for path, name in progress("checksums", "files", files, stays=False, is_shown=not quiet):
        try:
            md5 = md5_of(path)
            num_bytes = path.stat().st_size
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        _check_md5(path, md5)
        described.append(InputFile(path=path, name=name, num_bytes=num_bytes, md5=md5))
    return described


def _check_md5(path: Path, md5: str) -> None:
    beside = path.with_name(path.name + ".md5")
    if not beside.is_file():
        return
    match = _MD5.search(beside.read_text(encoding="utf-8", errors="replace"))
    if match is None:
        raise DataError(f"{beside} holds no md5 sum: fetch it again or remove it")
    if match[1].lower() != md5:
        raise DataError(
            f"md5 of {path} is {md5}, but {beside.name} says {match[1]}: fetch it again"
        )
