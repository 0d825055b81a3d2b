"""Stages ``tokenizer``, ``tokens`` and ``hdf5``: documents -> one folder of shards."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import Hdf5Settings, TokenizerSettings
from mediswift_cs.prepare.tasks import Result, digest_of, save_array, total
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.storage.write import atomic_folder
from mediswift_cs.tokens.build_shards import planned_manifest, write_manifest, write_splits
from mediswift_cs.tokens.manifest import (
    SPLITS,
    TOKENIZER_NAME,
    ShardEntry,
    SourceEntry,
    SplitEntry,
    TokenizerEntry,
)
from mediswift_cs.tokens.texts import TextSource, texts_of_documents
from mediswift_cs.tokens.tokenizer import load_tokenizer, save_tokenizer, tokenizer_entry
from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file

_COUNTS_FILE = "token_counts_{}.npy"


def tokenizer_md5s(path: Path) -> list[str]:
    """Of a tokenizer's file, or of the files in its folder.

    Raises:
        DataError: there is none.
    """
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file())
    if not files:
        raise DataError(f"tokenizer {path} does not exist: give a tokenizer.json or its folder")
    return [md5_of(file) for file in files]


def make_tokenizer(
    settings: TokenizerSettings,
    documents: Sequence[Path],
    guarded: Sequence[Result],
    output: Path,
) -> Result:
    """Write the tokenizer that is given, or train one on documents from all over the corpus."""
    if settings.path is not None:
        tokenizer = load_tokenizer(settings.path)
        save_tokenizer(tokenizer, output)
    else:
        source = _spread(documents, guarded, settings)
        tokenizer, _ = train_tokenizer_file(
            source,
            output,
            vocab_size=settings.vocab_size,
            min_frequency=settings.min_frequency,
            overwrite=True,
        )
    entry = tokenizer_entry(tokenizer)
    return {
        "sha256": entry.sha256,
        "vocab_size": entry.vocab_size,
        "eos_id": entry.eos_id,
        "content": digest_of(entry.sha256),
    }


def _spread(
    paths: Sequence[Path], guarded: Sequence[Result], settings: TokenizerSettings
) -> TextSource:
    """Every n-th document, so that old and new, abstracts and full texts are all in."""
    num_documents = sum(result["counts"]["kept"] for result in guarded)
    step = max(1, -(-num_documents // settings.max_documents))
    return TextSource(
        entries=_sources(guarded),
        read=lambda: islice(texts_of_documents(paths), 0, None, step),
        options={"every": step},
    )


def _sources(guarded: Sequence[Result]) -> tuple[SourceEntry, ...]:
    return tuple(SourceEntry(**result["entry"]) for result in guarded)


def tokenize_part(
    documents: Path,
    tokenizer_path: Path,
    made: Result,
    settings: Hdf5Settings,
    output: Path,
) -> Result:
    """Write the shards of one part, and how often each token occurs in them."""
    tokenizer = _tokenizer_of_process(tokenizer_path, made["sha256"])
    source = TextSource(entries=(), read=partial(texts_of_documents, [documents]))
    planned = planned_manifest(source, _entry(made), **settings.model_dump())
    with atomic_folder(output) as folder:
        splits, token_counts, counts = write_splits(
            source, tokenizer, planned, folder, show_progress=False
        )
        for name, of_split in token_counts.items():
            save_array(folder / _COUNTS_FILE.format(name), of_split)
    return {
        "counts": {name: n for name, n in counts.items() if name != "documents_read"},
        "splits": {name: asdict(split) for name, split in splits.items()},
    }


@lru_cache(maxsize=1)
def _tokenizer_of_process(path: Path, sha256: str) -> Tokenizer:
    """Loaded once by a worker for all its parts; another ``sha256`` is another tokenizer."""
    return load_tokenizer(path)


def _entry(made: Result) -> TokenizerEntry:
    return TokenizerEntry(
        file=TOKENIZER_NAME,
        sha256=made["sha256"],
        vocab_size=made["vocab_size"],
        eos_id=made["eos_id"],
    )


def assemble(
    parts: Sequence[tuple[Path, Result]],
    tokenizer: Path,
    made: Result,
    guarded: Sequence[Result],
    settings: Hdf5Settings,
    output: Path,
) -> Result:
    """Put the shards of all parts in one folder, as ``mediswift shards`` makes it.

    Files are linked where the file system can, so this takes no disk.

    Args:
        parts: the folder of each part and what :func:`tokenize_part` returned for it.
        tokenizer: what :func:`make_tokenizer` wrote, which is ``made``.
        guarded: of each part, the documents that it was made from.
    """
    splits: dict[str, SplitEntry] = {}
    token_counts = {}
    with atomic_folder(output) as folder:
        for name in SPLITS if settings.val_fraction else SPLITS[:1]:
            (folder / name).mkdir()
            splits[name] = _join(parts, name, folder)
            of_parts = [np.load(path / _COUNTS_FILE.format(name)) for path, _ in parts]
            token_counts[name] = np.sum(of_parts, axis=0)
        counts = total("counts", (result for _, result in parts))
        source = TextSource(
            entries=_sources(guarded),
            read=partial(texts_of_documents, []),
            options={"packing": "each part by itself"},
        )
        planned = planned_manifest(source, _entry(made), **settings.model_dump())
        counts = {"documents_read": sum(counts.values()), **counts}
        manifest = replace(planned, counts=counts, splits=splits)
        written = write_manifest(manifest, token_counts, load_tokenizer(tokenizer), folder)
    return {"splits": {name: asdict(split) for name, split in written.splits.items()}}


def _join(parts: Sequence[tuple[Path, Result]], name: str, folder: Path) -> SplitEntry:
    shards = []
    for number, (path, result) in enumerate(parts):
        for shard in result["splits"][name]["shards"]:
            source = path / shard["file"]
            target = f"{name}/shard_{number:05d}_{source.stem.removeprefix('shard_')}.h5"
            _link(source, folder / target)
            shards.append(ShardEntry(**{**shard, "file": target}))
    of_parts = [result["splits"][name] for _, result in parts]
    sizes = [each.get("num_bytes") for each in of_parts]
    num_documents = sum(each["num_documents"] for each in of_parts)
    if not num_documents:
        raise DataError(
            f"no document fell into split {name!r}: change hdf5.val_fraction (0: no validation "
            "split) or give more documents"
        )
    return SplitEntry(
        num_documents=num_documents,
        num_tokens=sum(each["num_tokens"] for each in of_parts),
        num_samples=sum(each["num_samples"] for each in of_parts),
        max_token_id=max(each["max_token_id"] for each in of_parts),
        shards=tuple(shards),
        # Parts that an earlier version has made do not know.
        num_bytes=None if None in sizes else sum(filter(None, sizes)),
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)
