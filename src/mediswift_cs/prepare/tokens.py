"""Stages ``tokenizer``, ``tokens`` and ``hdf5``: documents -> one folder of shards."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mediswift_cs import __version__
from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.arrays import save_array
from mediswift_cs.prepare.config import Hdf5Settings, TokenizerSettings
from mediswift_cs.prepare.tasks import Result, Task, digest_of
from mediswift_cs.storage.write import atomic_folder
from mediswift_cs.tokens.build_shards import TOKENIZER_NAME, write_splits
from mediswift_cs.tokens.manifest import (
    MANIFEST_NAME,
    SPLITS,
    Manifest,
    ShardEntry,
    SourceEntry,
    SplitEntry,
    TokenizerEntry,
)
from mediswift_cs.tokens.splits import SPLIT_FUNCTION, unigram_loss
from mediswift_cs.tokens.texts import Text, TextSource
from mediswift_cs.tokens.tokenizer import (
    EOS,
    fingerprint_of,
    load_tokenizer,
    save_tokenizer,
    vocab_size,
)
from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file

_COUNTS_FILE = "token_counts_{}.npy"


def make_tokenizer(task: Task) -> Result:
    """Write the tokenizer that is given, or train one on documents from all over the corpus."""
    (output,) = task.outputs
    settings: TokenizerSettings = task.settings["tokenizer"]
    if settings.path is not None:
        tokenizer = load_tokenizer(settings.path)
        save_tokenizer(tokenizer, output)
    else:
        source = _spread(task.settings["documents"], task.settings["entries"], settings)
        tokenizer, _ = train_tokenizer_file(
            source,
            output,
            vocab_size=settings.vocab_size,
            min_frequency=settings.min_frequency,
            overwrite=True,
        )
    fingerprint = fingerprint_of(tokenizer)
    return {
        "sha256": fingerprint,
        "vocab_size": vocab_size(tokenizer),
        "eos_id": tokenizer.token_to_id(EOS),
        "content": digest_of(fingerprint),
    }


def _spread(
    paths: Sequence[Path], entries: Sequence[dict[str, Any]], settings: TokenizerSettings
) -> TextSource:
    """Every n-th document, so that old and new, abstracts and full texts are all in."""
    num_documents = sum(entry["num_documents"] for entry in entries)
    step = max(1, -(-num_documents // settings.max_documents))

    def read() -> Iterator[Text]:
        number = 0
        for path in paths:
            for document in read_documents(path):
                if number % step == 0:
                    yield Text(document.id, document.text)
                number += 1

    sources = tuple(SourceEntry(path=e["path"], bytes=e["bytes"], md5=e["md5"]) for e in entries)
    return TextSource(entries=sources, read=read, options={"every": step})


def tokenize_part(task: Task) -> Result:
    """Write the shards of one part, and how often each token occurs in them."""
    (output,) = task.outputs
    settings: Hdf5Settings = task.settings["hdf5"]
    documents: Path = task.settings["documents"]
    entry = tokenizer_entry(task.settings["tokenizer_result"])
    tokenizer = _tokenizer_of_process(task.settings["tokenizer"], entry.sha256)

    def read() -> Iterator[Text]:
        return (Text(document.id, document.text) for document in read_documents(documents))

    with atomic_folder(output) as folder:
        splits, token_counts, counts = write_splits(
            TextSource(entries=(), read=read),
            tokenizer,
            entry,
            folder,
            max_sequence_length=settings.max_sequence_length,
            samples_per_shard=settings.samples_per_shard,
            val_fraction=settings.val_fraction,
            show_progress=False,
        )
        for name, of_split in token_counts.items():
            save_array(folder / _COUNTS_FILE.format(name), of_split)
    return {
        "counts": {name: n for name, n in counts.items() if name != "documents_read"},
        "splits": {name: _split_as_dict(split) for name, split in splits.items()},
        "content": digest_of(task.key),
    }


@lru_cache(maxsize=1)
def _tokenizer_of_process(path: Path, sha256: str) -> Tokenizer:
    """Loaded once by a worker for all its parts; another ``sha256`` is another tokenizer."""
    return load_tokenizer(path)


def tokenizer_entry(result: Result) -> TokenizerEntry:
    """What :func:`make_tokenizer` returned, for manifests."""
    return TokenizerEntry(
        file=TOKENIZER_NAME,
        sha256=result["sha256"],
        vocab_size=result["vocab_size"],
        eos_id=result["eos_id"],
    )


def _split_as_dict(split: SplitEntry) -> dict[str, Any]:
    return {**vars(split), "shards": [vars(shard) for shard in split.shards]}


def assemble(task: Task) -> Result:
    """Put the shards of all parts in one folder, as ``mediswift shards`` makes it.

    Files are linked where the file system can, so this takes no disk.
    """
    (output,) = task.outputs
    settings: Hdf5Settings = task.settings["hdf5"]
    parts: list[tuple[Path, Result]] = task.settings["parts"]
    splits: dict[str, SplitEntry] = {}
    token_counts = {}
    with atomic_folder(output) as folder:
        for name in SPLITS if settings.val_fraction else SPLITS[:1]:
            (folder / name).mkdir()
            splits[name] = _join(parts, name, folder)
            of_parts = [np.load(path / _COUNTS_FILE.format(name)) for path, _ in parts]
            token_counts[name] = np.sum(of_parts, axis=0)
        if "val" in splits:
            loss = unigram_loss(token_counts["train"], token_counts["val"])
            splits["val"] = replace(splits["val"], unigram_loss=loss)
        save_tokenizer(load_tokenizer(task.settings["tokenizer"]), folder / TOKENIZER_NAME)
        manifest = _manifest(task, splits)
        (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return {
        "splits": {name: _split_as_dict(split) for name, split in splits.items()},
        "content": digest_of(task.key),
    }


def _join(parts: list[tuple[Path, Result]], name: str, folder: Path) -> SplitEntry:
    shards = []
    for number, (path, result) in enumerate(parts):
        for shard in result["splits"][name]["shards"]:
            source = path / shard["file"]
            target = f"{name}/shard_{number:05d}_{source.stem.removeprefix('shard_')}.h5"
            _link(source, folder / target)
            shards.append(
                ShardEntry(file=target, num_samples=shard["num_samples"], md5=shard["md5"])
            )
    of_parts = [result["splits"][name] for _, result in parts]
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
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(source, target)


def _manifest(task: Task, splits: dict[str, SplitEntry]) -> Manifest:
    settings: Hdf5Settings = task.settings["hdf5"]
    counts: Counter[str] = Counter()
    for _, result in task.settings["parts"]:
        counts.update(result["counts"])
    return Manifest(
        package_version=__version__,
        max_sequence_length=settings.max_sequence_length,
        tokenizer=tokenizer_entry(task.settings["tokenizer_result"]),
        sources=tuple(
            SourceEntry(path=e["path"], bytes=e["bytes"], md5=e["md5"])
            for e in task.settings["entries"]
        ),
        counts={"documents_read": counts.total(), **counts},
        splits=splits,
        options={
            "val_fraction": settings.val_fraction,
            "samples_per_shard": settings.samples_per_shard,
            "split_function": SPLIT_FUNCTION,
            "packing": "each part by itself",
        },
    )
