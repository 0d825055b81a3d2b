"""The parts of the inputs: a PubMed file, a PMC set or archive, or a number of PMC articles."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mediswift_cs.corpora import pmc, pubmed
from mediswift_cs.corpora.files import find_files
from mediswift_cs.corpora.tar_archive import TAR_SUFFIXES
from mediswift_cs.errors import DataError

_ODD = re.compile(r"[^A-Za-z0-9_.-]+")
# Articles of PMC have 0.1 MB; what is larger than this may be a whole set of them.
_LARGE_FILE = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One unit of work.

    Attributes:
        name: for its files; the same for the same inputs, whatever other parts there are.
        files: (path, name to record) in reading order.
        state: name, size and time of change of each file: whether it has to be read again.
    """

    name: str
    kind: Literal["pubmed", "pmc"]
    files: tuple[tuple[Path, str], ...]
    state: tuple[tuple[str, int, int], ...]

    @property
    def num_bytes(self) -> int:
        """Of the files, as they are: how long the part takes beside others."""
        return sum(size for _name, size, _time in self.state)


def find_parts(
    pubmed_inputs: Sequence[Path], pmc_inputs: Sequence[Path], files_per_part: int
) -> list[Part]:
    """PubMed's files in the order in which they apply, then PMC's in the order of their names.

    Raises:
        DataError: an input does not exist or has gone, or a folder has no file of its kind.
    """
    files = find_files(pubmed_inputs, pubmed.SUFFIXES) if pubmed_inputs else []
    parts = [_part("pubmed", [file]) for file in files]
    group: list[tuple[Path, str]] = []
    for file in find_files(pmc_inputs, (*pmc.SUFFIXES, *TAR_SUFFIXES)) if pmc_inputs else []:
        if file[0].name.lower().endswith(TAR_SUFFIXES) or _state(*file)[1] > _LARGE_FILE:
            parts.append(_part("pmc", [file]))
            continue
        group.append(file)
        if len(group) == files_per_part:
            parts.append(_part("pmc", group))
            group = []
    if group:
        parts.append(_part("pmc", group))
    names = [part.name for part in parts]
    if len(set(names)) != len(names):
        twice = next(part for part in parts if names.count(part.name) > 1)
        raise DataError(f"two inputs have the same name {twice.files[0][1]}: rename one of them")
    return parts


def _state(path: Path, name: str) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return name, stat.st_size, stat.st_mtime_ns


def _part(kind: Literal["pubmed", "pmc"], files: Sequence[tuple[Path, str]]) -> Part:
    all_names = "\0".join(name for _, name in files)
    digest = hashlib.blake2b(all_names.encode("utf-8", "surrogateescape"), digest_size=4)
    # File names are the outside's: only harmless characters of them are used.
    stem = _ODD.sub("_", files[0][0].name.partition(".")[0])[:40]
    name = f"{kind}-{stem}-{digest.hexdigest()}"
    state = tuple(_state(*file) for file in files)
    return Part(name=name, kind=kind, files=tuple(files), state=state)
