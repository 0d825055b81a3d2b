"""What a folder of shards says about itself: ``manifest.json`` and the list of its files.

Only the standard library is imported here, so that a params file can be checked against its
data before anything heavy is loaded. The HDF5 files themselves are in :mod:`.hdf5`.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.errors import DataError
from mediswift_cs.storage.made import is_empty
from mediswift_cs.storage.read import NO_OTHER_KEYS, check_type, read_json_object

MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
FORMAT_VERSION = 1
# The folders of the splits, below the manifest's.
SPLITS = ("train", "val")
# What makes folders of task examples, for messages to whoever has another folder.
TASK_COMMANDS = "`mediswift classify`, `mediswift pubmedqa` or `mediswift hoc`"
_NUM_END_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TokenizerEntry:
    """Which tokenizer made the shards.

    Attributes:
        file: name of the tokenizer file, relative to the manifest's folder.
        sha256: :func:`mediswift_cs.tokens.tokenizer.fingerprint` of that file.
        vocab_size: largest id of the vocabulary plus one.
        eos_id: id of the token that ends each document.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = NO_OTHER_KEYS

    file: str
    sha256: str
    vocab_size: int
    eos_id: int


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One HDF5 file; ``file`` is relative to the manifest's folder."""

    __pydantic_config__: ClassVar[dict[str, str]] = NO_OTHER_KEYS

    file: str
    num_samples: int
    md5: str


@dataclass(frozen=True, kw_only=True)
class SplitEntry:
    """Totals of one split.

    Attributes:
        num_tokens: tokens of the split's stream, one end-of-text token for each document included,
            padding excluded.
        num_bytes: of the split's texts as UTF-8; None in data of earlier versions, and where texts
            are no stream.
        unigram_loss: nats per token under the add-one-smoothed unigram distribution of the train
            tokens (validation split only): the loss that a model has to beat to have learned
            anything beyond token frequencies.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = NO_OTHER_KEYS

    num_documents: int
    num_tokens: int
    num_samples: int
    max_token_id: int
    shards: tuple[ShardEntry, ...]
    num_bytes: int | None = None
    unigram_loss: float | None = None

    def bits_per_byte(self, loss: float) -> float | None:
        """A loss in nats per token as bits per byte of text, which does not depend on tokenizers.

        None where the number of bytes is not known.
        """
        if not self.num_bytes:
            return None
        return loss / math.log(2) * self.num_tokens / self.num_bytes


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of ``manifest.json``.

    Attributes:
        folder: where the manifest was read from.
        counts: documents by what became of them; ``documents_read`` is the sum of the others.
        options: the settings that, with the sources and the tokenizer, determine the shards.
        documents: the manifests of the documents files that were read, where they have one.
        cut_contexts: of task examples, how many tokens were cut from each context that was cut, by
            the example's id.
    """

    package_version: str
    max_sequence_length: int
    tokenizer: TokenizerEntry
    sources: tuple[SourceEntry, ...]
    counts: Mapping[str, int]
    splits: Mapping[str, SplitEntry]
    options: Mapping[str, Any] = field(default_factory=dict)
    documents: tuple[Mapping[str, Any], ...] = ()
    cut_contexts: Mapping[str, int] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    folder: Path = Path()

    @property
    def num_samples(self) -> int:
        """Samples of all splits."""
        return sum(split.num_samples for split in self.splits.values())

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        content = asdict(self)
        del content["folder"]
        if not self.cut_contexts:
            del content["cut_contexts"]
        for split in content["splits"].values():
            for name in ("num_bytes", "unigram_loss"):
                if split[name] is None:
                    del split[name]
        return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def shards_fingerprint(paths: Iterable[Path]) -> str:
    """What tells one set of shards from another: the sha256 of their checksums, in their order.

    The checksums are those of the manifest. Of shards without one, which may be many gigabytes, the
    size and both ends are looked at.
    """
    digest = hashlib.sha256()
    known: dict[Path, dict[Path, str]] = {}
    for path in paths:
        if path.parent not in known:
            known[path.parent] = _checksums(path.parent)
        checksum = known[path.parent].get(path.absolute()) or _ends_of(path)
        digest.update(f"{checksum}\n".encode())
    return digest.hexdigest()


def _ends_of(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        for start in (0, max(0, size - _NUM_END_BYTES)):
            file.seek(start)
            digest.update(file.read(_NUM_END_BYTES))
    return digest.hexdigest()


def _checksums(data_dir: Path) -> dict[Path, str]:
    if find_manifest(data_dir) is None:
        return {}
    manifest = read_manifest(data_dir)
    entries = (shard for split in manifest.splits.values() for shard in split.shards)
    folder = manifest.folder.absolute()
    return {folder / shard.file: shard.md5 for shard in entries}


def find_manifest(data_dir: Path) -> Path | None:
    """The manifest that describes ``data_dir``: in it, or above it when it is one split's folder.

    Returns None where there is none, as in folders that ModelZoo's own tools made.
    """
    own = data_dir / MANIFEST_NAME
    if own.is_file():
        return own
    folder = data_dir.absolute()
    above = folder.parent / MANIFEST_NAME
    return above if folder.name in SPLITS and above.is_file() else None


def read_manifest(data_dir: Path) -> Manifest:
    """Read the manifest of ``OUT``, ``OUT/train`` or ``OUT/val``.

    Raises:
        DataError: there is none, or it is not one that this version understands.
    """
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise DataError(f"data folder {data_dir} does not exist: make it with `mediswift shards`")
    path = find_manifest(data_dir)
    if path is None:
        raise DataError(
            f"no {MANIFEST_NAME} in {data_dir} or in the folder above it: "
            "make the data with `mediswift shards`"
        )
    content = read_json_object(path)
    if (version := content.get("format_version")) != FORMAT_VERSION:
        raise DataError(f"{path} has format_version {version!r}, allowed: {FORMAT_VERSION}")
    where = f"{path} is not a manifest of `mediswift shards`"
    return check_type(Manifest, {**content, "folder": path.parent}, where)


def existing_manifest(output: Path, kind: str, *, overwrite: bool) -> Manifest | None:
    """The manifest of a folder that was made before; None if there is nothing, or nothing to keep.

    Args:
        kind: what such a folder is called, for the error.
        overwrite: a folder that has a manifest is to be replaced.

    Raises:
        DataError: ``output`` is no such folder (it is never replaced), or its manifest is wrong.
    """
    if is_empty(output):
        return None
    if not (output / MANIFEST_NAME).is_file():
        raise DataError(
            f"{output} exists and is no {kind} (no {MANIFEST_NAME}): "
            "give another output, or remove it yourself"
        )
    return None if overwrite else read_manifest(output)


def different_fields(first: Manifest, second: Manifest, names: Iterable[str]) -> list[str]:
    """Those of the fields ``names`` in which two manifests are not equal."""
    return [name for name in names if getattr(first, name) != getattr(second, name)]


def check_shards_exist(manifest: Manifest) -> None:
    """Raise DataError where a file that the manifest lists is missing."""
    for split in manifest.splits.values():
        for shard in split.shards:
            path = manifest.folder / shard.file
            if not path.is_file():
                raise DataError(f"{path} is missing: make it again with --overwrite")


def shard_paths(data_dirs: Path | Iterable[Path]) -> list[Path]:
    """The ``*.h5`` files of one folder or several, in the order in which ModelZoo reads them.

    Raises:
        DataError: a folder does not exist, or holds no such file.
    """
    folders = [data_dirs] if isinstance(data_dirs, str | Path) else list(data_dirs)
    paths: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"data folder {folder} does not exist: make it with `mediswift shards`")
        found = list(folder.glob("*.h5"))
        if not found:
            raise DataError(f"no *.h5 file in {folder}: give the folder of one split, as OUT/train")
        paths += found
    # ModelZoo sorts the files of all folders together (H5Reader).
    return sorted(paths)
