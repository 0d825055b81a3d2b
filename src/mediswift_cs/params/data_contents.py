"""What a folder of shards holds: from its manifest, or from shards that have none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import reason_of
from mediswift_cs.tokens.manifest import find_manifest, read_manifest, shard_paths

# What is held in memory of a shard at a time, however long its samples are.
BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the samples of a folder have in common.

    Attributes:
        min_token_id: 0, or less where an id is negative.
        tokenizer_sha256: None in shards of other tools.
        prompt: how task examples lie in their samples; None in shards of packed text.
    """

    num_samples: int
    max_sequence_length: int
    max_token_id: int
    min_token_id: int = 0
    tokenizer_sha256: str | None
    prompt: Mapping[str, Any] | None


def read_contents(folder: Path) -> Contents:
    """From the folder's manifest; where there is none, every shard is read to its end.

    Raises:
        DataError: no folder, no shard, or a file that cannot be read.
    """
    paths = shard_paths(folder)
    if find_manifest(folder) is None:
        return _read_shards(paths)
    manifest = read_manifest(folder)
    name = folder.resolve().name
    if name not in manifest.splits:
        known = ", ".join(manifest.splits)
        raise DataError(f"the manifest in {manifest.folder} knows the splits {known}, not {name}")
    split = manifest.splits[name]
    return Contents(
        num_samples=split.num_samples,
        max_sequence_length=manifest.max_sequence_length,
        max_token_id=split.max_token_id,
        tokenizer_sha256=manifest.tokenizer.sha256,
        prompt=manifest.options.get("prompt"),
    )


def has_other_layout(folder: Path) -> bool:
    """Whether the first shard is HDF5 in another layout than ours, as ModelZoo's "corpus"."""
    import h5py

    paths = sorted(folder.glob("*.h5"))
    return bool(paths) and find_manifest(folder) is None and h5py.is_hdf5(paths[0])


def _read_shards(paths: list[Path]) -> Contents:
    # Here, so that what has a manifest is checked without these imports.
    from mediswift_cs.progress import progress
    from mediswift_cs.tokens.hdf5 import read_shard_info

    shards = [read_shard_info(path) for path in paths]
    length = shards[0].max_sequence_length
    for shard in shards:
        if shard.max_sequence_length != length:
            raise DataError(
                f"shards of one folder must have one sequence length, got {length} in {paths[0]} "
                f"and {shard.max_sequence_length} in {shard.path}"
            )
    lowest, highest = 0, -1
    for path in progress("read shards", "shards", paths, stays=False):
        for smallest, largest in _ranges_of_ids(path):
            lowest, highest = min(lowest, smallest), max(highest, largest)
    return Contents(
        num_samples=sum(shard.num_samples for shard in shards),
        max_sequence_length=length,
        max_token_id=highest,
        min_token_id=lowest,
        tokenizer_sha256=shards[0].tokenizer_sha256,
        prompt=shards[0].prompt,
    )


def _ranges_of_ids(path: Path) -> Iterator[tuple[int, int]]:
    """The smallest and the largest id of one block of samples after the other."""
    import h5py

    from mediswift_cs.tokens.hdf5 import DATASET

    try:
        with h5py.File(path, "r") as file:
            data = file[DATASET]
            bytes_a_sample = data.dtype.itemsize * data.shape[1] * data.shape[2]
            step = max(1, BLOCK_BYTES // max(1, bytes_a_sample))
            for start in range(0, len(data), step):
                # The loss mask lies between the ids and the labels.
                ids = data[start : start + step][:, ::2]
                yield int(ids.min(initial=0)), int(ids.max(initial=0))
    except OSError as error:
        raise DataError(f"{path} is damaged: {reason_of(error)}") from error
