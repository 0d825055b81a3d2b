"""Texts -> ``OUT/{train,val}/shard_*.h5``, ``OUT/tokenizer.json`` and ``OUT/manifest.json``."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mediswift_cs import __version__
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.progress import progress
from mediswift_cs.storage.made import check_same
from mediswift_cs.storage.write import atomic_folder
from mediswift_cs.tokens.encoder import Encoder, Ids, encoder_of
from mediswift_cs.tokens.hdf5 import check_sequence_length
from mediswift_cs.tokens.manifest import (
    MANIFEST_NAME,
    SPLITS,
    TOKENIZER_NAME,
    Manifest,
    SplitEntry,
    TokenizerEntry,
    check_shards_exist,
    different_fields,
    existing_manifest,
)
from mediswift_cs.tokens.splits import (
    SPLIT_FUNCTION,
    SplitWriter,
    check_val_fraction,
    split_of,
    unigram_loss,
)
from mediswift_cs.tokens.texts import Text, TextSource
from mediswift_cs.tokens.tokenizer import (
    load_tokenizer,
    save_tokenizer,
    text_bytes,
    tokenizer_entry,
)

# At 2,048 tokens a sample this is 17 million tokens a file.
SAMPLES_PER_SHARD = 8192
VAL_FRACTION = 0.05

# Tokenized at a time: enough for all threads, and a bound on memory.
_BATCH_DOCUMENTS = 1024
_BATCH_CHARACTERS = 4_000_000

# What, taken together, determines the shards.
_RECIPE = ("package_version", "max_sequence_length", "tokenizer", "sources", "options", "documents")


def build_shards(
    source: TextSource,
    tokenizer_path: Path,
    output: Path,
    *,
    max_sequence_length: int,
    val_fraction: float,
    samples_per_shard: int,
    overwrite: bool,
) -> tuple[Manifest, bool]:
    """Tokenize, pack and write one data set; memory does not grow with it.

    An ``output`` that the same inputs, tokenizer, settings and version made is left as it is.

    Args:
        source: see :mod:`.texts`.
        tokenizer_path: anything that :func:`~.tokenizer.load_tokenizer` takes.
        output: its folder appears only when everything in it is complete.
        max_sequence_length: tokens a sample.
        val_fraction: share of the documents that goes to ``val``; 0 writes no such split.
        samples_per_shard: samples of every file but a split's last.
        overwrite: replace an ``output`` that was made otherwise.

    Returns:
        The manifest, and whether it was made now (False: it was already there).

    Raises:
        ConfigError: a setting is out of its range.
        DataError: unusable input, a split without documents, or ``output`` cannot be written.
    """
    _check_settings(max_sequence_length, val_fraction, samples_per_shard)
    tokenizer = load_tokenizer(tokenizer_path)
    planned = planned_manifest(
        source,
        tokenizer_entry(tokenizer),
        max_sequence_length=max_sequence_length,
        val_fraction=val_fraction,
        samples_per_shard=samples_per_shard,
    )
    found = existing_manifest(output, "data folder of `mediswift shards`", overwrite=overwrite)
    if found is not None:
        check_same(output, different_fields(found, planned, _RECIPE))
        check_shards_exist(found)
        return found, False
    with atomic_folder(output) as folder:
        written = write_splits(source, tokenizer, planned, folder)
        manifest = write_manifest(planned, *written, tokenizer, folder)
    return replace(manifest, folder=output), True


def _check_settings(length: int, val_fraction: float, samples_per_shard: int) -> None:
    check_val_fraction(val_fraction)
    check_sequence_length(length)
    if samples_per_shard < 1:
        raise ConfigError(f"samples_per_shard: got {samples_per_shard}, allowed: 1 or more")


def planned_manifest(
    source: TextSource, tokenizer: TokenizerEntry, *, max_sequence_length: int, **options: float
) -> Manifest:
    """What is known before anything is written; ``options``: val_fraction, samples_per_shard."""
    return Manifest(
        package_version=__version__,
        max_sequence_length=max_sequence_length,
        tokenizer=tokenizer,
        sources=source.entries,
        counts={},
        splits={},
        options={**source.options, **options, "split_function": SPLIT_FUNCTION},
        documents=source.manifests,
    )


def write_manifest(
    planned: Manifest,
    splits: Mapping[str, SplitEntry],
    token_counts: Mapping[str, npt.NDArray[np.int64]],
    counts: Mapping[str, int],
    tokenizer: Tokenizer,
    folder: Path,
) -> Manifest:
    """Write tokenizer and manifest beside what :func:`write_splits` wrote and returned.

    Raises:
        DataError: a split has no document.
    """
    _check_splits(splits, counts, planned.options["val_fraction"])
    if "val" in splits:
        loss = unigram_loss(token_counts["train"], token_counts["val"])
        splits = {**splits, "val": replace(splits["val"], unigram_loss=loss)}
    save_tokenizer(tokenizer, folder / TOKENIZER_NAME)
    manifest = replace(planned, counts=dict(counts), splits=splits)
    # Last, so that a folder with a manifest is complete even if it is looked at half-way.
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def write_splits(
    source: TextSource,
    tokenizer: Tokenizer,
    planned: Manifest,
    folder: Path,
    *,
    show_progress: bool = True,
) -> tuple[dict[str, SplitEntry], dict[str, npt.NDArray[np.int64]], Counter[str]]:
    """Tokenize texts into the shards of new folders, one a split, below ``folder``.

    Returns:
        For each split its totals (maybe of no document), and how often each id occurs, int64
        [vocab_size]; the texts by what became of them.
    """
    val_fraction = planned.options["val_fraction"]
    counts = Counter(documents_read=0, kept=0, empty_text=0)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(SplitWriter(folder / name, planned))
            for name in (SPLITS if val_fraction else SPLITS[:1])
        }
        texts = progress(
            "tokenize", "docs", source, total=source.num_expected, is_shown=show_progress
        )
        encoder = encoder_of(tokenizer)
        for batch in _batches(texts):
            _add_batch(batch, encoder, writers, counts, val_fraction)
        splits = {
            name: replace(writer.finish(), num_bytes=text_bytes(writer.token_counts, tokenizer))
            for name, writer in writers.items()
        }
    return splits, {name: writer.token_counts for name, writer in writers.items()}, counts


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    batch: list[Text] = []
    num_characters = 0
    for text in texts:
        batch.append(text)
        num_characters += len(text.text)
        if len(batch) == _BATCH_DOCUMENTS or num_characters >= _BATCH_CHARACTERS:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


def _add_batch(
    batch: list[Text],
    encoder: Encoder,
    writers: dict[str, SplitWriter],
    counts: Counter[str],
    val_fraction: float,
) -> None:
    usable = [text for text in batch if text.text.strip()]
    documents: dict[str, list[Ids]] = {name: [] for name in writers}
    all_ids = encoder.encode_batch([text.text for text in usable], counts["kept"])
    for text, ids in zip(usable, all_ids, strict=True):
        # A normalizer may leave nothing of a text.
        if len(ids):
            documents[split_of(text.id, val_fraction)].append(ids)
    for name, writer in writers.items():
        writer.add(documents[name])
    num_kept = sum(map(len, documents.values()))
    counts["documents_read"] += len(batch)
    counts["kept"] += num_kept
    counts["empty_text"] += len(batch) - num_kept


def _check_splits(
    splits: Mapping[str, SplitEntry], counts: Mapping[str, int], val_fraction: float
) -> None:
    if not counts["kept"]:
        raise DataError(
            f"no usable text: {counts['documents_read']} documents read, "
            f"{counts['empty_text']} of them empty"
        )
    for name, split in splits.items():
        if not split.num_documents:
            raise DataError(
                f"no document fell into split {name!r}: got {counts['kept']} documents and "
                f"val_fraction {val_fraction:g}; change the fraction (0: no "
                "validation split) or give more documents"
            )
