"""The parts of the inputs: a PubMed file, a PMC set, archive or some articles, a data set."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.corpora import pmc, pubmed
from mediswift_cs.corpora.files import find_files
from mediswift_cs.corpora.tar_archive import TAR_SUFFIXES
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import Kind, PmcSettings, PrepareSettings, PubmedSettings

_ODD = re.compile(r"[^A-Za-z0-9_.-]+")
# Articles of PMC have 0.1 MB; what is larger than this may be a whole set of them.
_LARGE_FILE = 32 << 20

# A file's path, and its name to record.
NamedFile = tuple[Path, str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The documents that one task works on at a time.

    Attributes:
        name: for its files; the same for the same inputs, whatever other parts there are.
        files: in reading order.
        addresses: of the files of a data set that are not on this machine.
        state: name, size and time of change of each file: whether it has to be read again.
    """

    name: str
    kind: Kind
    files: tuple[NamedFile, ...]
    addresses: tuple[str, ...] = ()
    state: tuple[tuple[str, int, int], ...]

    @property
    def num_bytes(self) -> int:
        """Of the files, as they are: how long the part takes beside others."""
        return sum(size for _name, size, _time in self.state)


def find_parts(settings: PrepareSettings) -> list[Part]:
    """PubMed's files in the order in which they apply, PMC's in that of their names, a data set.

    Raises:
        DataError: an input does not exist or has gone, or a folder has no file of its kind.
    """
    parts = _parts_of_pubmed(settings.pubmed) + _parts_of_pmc(settings.pmc)
    if settings.dataset.name is not None:
        local, addresses = settings.dataset.find_files()
        parts.append(_part("dataset", [(path, path.name) for path in local], addresses))
    names = [part.name for part in parts]
    if len(set(names)) != len(names):
        twice = next(part for part in parts if names.count(part.name) > 1)
        raise DataError(f"two inputs have the same name {twice.files[0][1]}: rename one of them")
    return parts


def _parts_of_pubmed(settings: PubmedSettings) -> list[Part]:
    files = find_files(settings.inputs, pubmed.SUFFIXES) if settings.inputs else []
    groups = [[file] for file in files] if settings.limit is None else [files]
    return [_part("pubmed", group) for group in groups if group]


def _parts_of_pmc(settings: PmcSettings) -> list[Part]:
    suffixes = (*pmc.SUFFIXES, *TAR_SUFFIXES)
    files = find_files(settings.inputs, suffixes) if settings.inputs else []
    if settings.limit is not None:
        return [_part("pmc", files)] if files else []
    parts: list[Part] = []
    group: list[NamedFile] = []
    for file in files:
        if file[0].name.lower().endswith(TAR_SUFFIXES) or _state(*file)[1] > _LARGE_FILE:
            parts.append(_part("pmc", [file]))
            continue
        group.append(file)
        if len(group) == settings.files_per_part:
            parts.append(_part("pmc", group))
            group = []
    if group:
        parts.append(_part("pmc", group))
    return parts


def _state(path: Path, name: str) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return name, stat.st_size, stat.st_mtime_ns


def _part(kind: Kind, files: Sequence[NamedFile], addresses: Sequence[str] = ()) -> Part:
    all_names = "\0".join([*(name for _, name in files), *addresses])
    digest = hashlib.blake2b(all_names.encode("utf-8", "surrogateescape"), digest_size=4)
    first = files[0][0].name if files else addresses[0].rpartition("/")[2]
    # File names are the outside's: only harmless characters of them are used.
    stem = _ODD.sub("_", first.partition(".")[0])[:40]
    return Part(
        name=f"{kind}-{stem}-{digest.hexdigest()}",
        kind=kind,
        files=tuple(files),
        addresses=tuple(addresses),
        state=(*(_state(*file) for file in files), *((address, 0, 0) for address in addresses)),
    )
