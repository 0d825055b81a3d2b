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
        num_bytes: of the files, as they are: how long the part takes beside others.
    """

    name: str
    kind: Literal["pubmed", "pmc"]
    files: tuple[tuple[Path, str], ...]
    num_bytes: int

    def state(self) -> list[list[object]]:
        """Name, size and time of change of each file: whether it has to be read again.

        Raises:
            DataError: a file has gone.
        """
        try:
            stats = [path.stat() for path, _ in self.files]
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
        return [
            [name, stat.st_size, stat.st_mtime_ns]
            for (_, name), stat in zip(self.files, stats, strict=True)
        ]


def find_parts(
    pubmed_inputs: Sequence[Path], pmc_inputs: Sequence[Path], files_per_part: int
) -> list[Part]:
    """PubMed's files in the order in which they apply, then PMC's in the order of their names.

    Raises:
        DataError: an input does not exist or has gone, or a folder has no file of its kind.
    """
    parts = [
        _part("pubmed", [file], _size(file[0]))
        for file in (find_files(pubmed_inputs, pubmed.SUFFIXES) if pubmed_inputs else [])
    ]
    suffixes = (*pmc.SUFFIXES, *TAR_SUFFIXES)
    group: list[tuple[Path, str]] = []
    group_size = 0
    for file in find_files(pmc_inputs, suffixes) if pmc_inputs else []:
        size = _size(file[0])
        if file[0].name.endswith(TAR_SUFFIXES) or size > _LARGE_FILE:
            parts.append(_part("pmc", [file], size))
            continue
        group.append(file)
        group_size += size
        if len(group) == files_per_part:
            parts.append(_part("pmc", group, group_size))
            group, group_size = [], 0
    if group:
        parts.append(_part("pmc", group, group_size))
    names = [part.name for part in parts]
    if len(set(names)) != len(names):
        twice = next(part for part in parts if names.count(part.name) > 1)
        raise DataError(f"two inputs have the same name {twice.files[0][1]}: rename one of them")
    return parts


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _part(kind: Literal["pubmed", "pmc"], files: list[tuple[Path, str]], num_bytes: int) -> Part:
    all_names = "\0".join(name for _, name in files)
    digest = hashlib.blake2b(all_names.encode("utf-8", "surrogateescape"), digest_size=4)
    # File names are the outside's: only harmless characters of them are used.
    stem = _ODD.sub("_", files[0][0].name.partition(".")[0])[:40]
    name = f"{kind}-{stem}-{digest.hexdigest()}"
    return Part(name=name, kind=kind, files=tuple(files), num_bytes=num_bytes)
