"""Stages ``tokenizer``, ``tokens`` and ``hdf5``: documents -> one folder of shards."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mediswift_cs.prepare.config import Hdf5Settings, TokenizerSettings
from mediswift_cs.prepare.guard import GuardResult
from mediswift_cs.prepare.tasks import Result, digest_of, save_array, total
from mediswift_cs.storage.write import atomic_folder
from mediswift_cs.tokens.build_shards import planned_manifest, write_manifest, write_splits
from mediswift_cs.tokens.manifest import (
    SplitEntry,
    TokenizerEntry,
)
from mediswift_cs.tokens.texts import TextSource, texts_of_documents
from mediswift_cs.tokens.tokenizer import load_tokenizer, save_tokenizer, tokenizer_entry
from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file

_COUNTS_FILE = "token_counts_{}.npy"


class TokenizerResult(Result):
    """The tokenizer of the corpus."""

    entry: TokenizerEntry


class ShardsResult(Result):
    """The splits of one part, or of all."""

    splits: dict[str, SplitEntry]


def make_tokenizer(
    settings: TokenizerSettings,
    documents: Sequence[Path],
    guarded: Sequence[GuardResult],
    output: Path,
) -> TokenizerResult:
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
    return TokenizerResult(entry=entry, content=digest_of(entry.sha256))


def _spread(
    paths: Sequence[Path], guarded: Sequence[GuardResult], settings: TokenizerSettings
) -> TextSource:
    """Every n-th document, so that old and new, abstracts and full texts are all in."""
    num_documents = sum(result.counts["kept"] for result in guarded)
    step = max(1, -(-num_documents // settings.max_documents))
    return TextSource(
        entries=tuple(result.entry for result in guarded),
        read=lambda: islice(texts_of_documents(paths), 0, None, step),
        options={"every": step},
    )


def tokenize_part(
    documents: Path,
    tokenizer_path: Path,
    entry: TokenizerEntry,
    settings: Hdf5Settings,
    output: Path,
) -> ShardsResult:
    """Write the shards of one part, and how often each token occurs in them."""
    tokenizer = _tokenizer_of_process(tokenizer_path, entry.sha256)
    source = TextSource(entries=(), read=partial(texts_of_documents, [documents]))
    planned = planned_manifest(source, entry, **settings.model_dump())
    with atomic_folder(output) as folder:
        splits, token_counts, counts = write_splits(
            source, tokenizer, planned, folder, show_progress=False
        )
        for name, of_split in token_counts.items():
            save_array(folder / _COUNTS_FILE.format(name), of_split)
    return ShardsResult(
        counts={name: n for name, n in counts.items() if name != "documents_read"}, splits=splits
    )


@lru_cache(maxsize=1)
def _tokenizer_of_process(path: Path, sha256: str) -> Tokenizer:
    """Loaded once by a worker for all its parts; another ``sha256`` is another tokenizer."""
    return load_tokenizer(path)


def assemble(
    parts: Sequence[tuple[Path, ShardsResult]],
    tokenizer: Path,
    entry: TokenizerEntry,
    documents: TextSource,
    settings: Hdf5Settings,
    output: Path,
) -> ShardsResult:
    """Put the shards of all parts in one folder, as ``mediswift shards`` makes it.

    Files are linked where the file system can, so this takes no disk.

    Args:
        parts: the folder of each part and what :func:`tokenize_part` returned for it.
        tokenizer: what :func:`make_tokenizer` wrote, which is ``entry``.
        documents: what the manifest says of the documents that the parts were made from.
    """
    with atomic_folder(output) as folder:
        splits = {name: _join(parts, name, folder) for name in parts[0][1].splits}
        token_counts = {
            name: np.sum([np.load(path / _COUNTS_FILE.format(name)) for path, _ in parts], axis=0)
            for name in splits
        }
        counts = total(result.counts for _, result in parts)
        counts = {"documents_read": sum(counts.values()), **counts}
        planned = planned_manifest(documents, entry, **settings.model_dump())
        made_with = _tokenizer_of_process(tokenizer, entry.sha256)
        written = write_manifest(planned, splits, token_counts, counts, made_with, folder)
    return ShardsResult(splits=dict(written.splits))


def _join(parts: Sequence[tuple[Path, ShardsResult]], name: str, folder: Path) -> SplitEntry:
    """Link the shards of one split into ``folder``, and add up what the parts say of them."""
    (folder / name).mkdir()
    shards = []
    for number, (path, result) in enumerate(parts):
        for shard in result.splits[name].shards:
            source = path / shard.file
            target = f"{name}/shard_{number:05d}_{source.stem.removeprefix('shard_')}.h5"
            _link(source, folder / target)
            shards.append(replace(shard, file=target))
    of_parts = [result.splits[name] for _, result in parts]
    return SplitEntry(
        num_documents=sum(each.num_documents for each in of_parts),
        num_tokens=sum(each.num_tokens for each in of_parts),
        num_samples=sum(each.num_samples for each in of_parts),
        max_token_id=max(each.max_token_id for each in of_parts),
        num_bytes=sum(each.num_bytes or 0 for each in of_parts),
        shards=tuple(shards),
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)
