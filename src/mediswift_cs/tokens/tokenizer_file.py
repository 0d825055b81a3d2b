"""A tokenizer made once: ``tokenizer.json``, and beside it what it was made from."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mediswift_cs import __version__
from mediswift_cs.errors import ConfigError
from mediswift_cs.storage.made import check_same, no_output_of_ours
from mediswift_cs.storage.read import read_json_object
from mediswift_cs.storage.write import write_json
from mediswift_cs.tokens.texts import TextSource
from mediswift_cs.tokens.tokenizer import (
    fingerprint_of,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

FORMAT_VERSION = 1


def train_tokenizer_file(
    source: TextSource,
    output: Path,
    *,
    vocab_size: int,
    min_frequency: int,
    limit: int | None = None,
    overwrite: bool,
    show_progress: bool = False,
) -> tuple[Tokenizer, bool]:
    """Train on the first ``limit`` texts (None: on all) and write ``output`` and its manifest.

    An ``output`` that the same texts, settings and package version made is left as it is.

    Returns:
        The tokenizer, and whether it was made now (False: it was already there).

    Raises:
        ConfigError: a setting is out of its range.
        DataError: ``output`` was made otherwise, or cannot be written; no text.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: got {limit}, allowed: 1 document or more")
    planned = {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "sources": [asdict(entry) for entry in source.entries],
        "options": {
            **source.options,
            "vocab_size": vocab_size,
            "min_frequency": min_frequency,
            "limit": limit,
        },
    }
    if output.exists() and not overwrite:
        return _existing(output, planned), False
    tokenizer = train_tokenizer(
        (text.text for text in islice(source, limit)),
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        num_texts=source.num_expected if limit is None else limit,
        show_progress=show_progress,
    )
    manifest_path(output).unlink(missing_ok=True)
    save_tokenizer(tokenizer, output)
    write_json(manifest_path(output), {**planned, "sha256": fingerprint_of(tokenizer)})
    return tokenizer, True


def convert_tokenizer_file(path: Path, output: Path, *, overwrite: bool) -> tuple[Tokenizer, bool]:
    """Write what :func:`~.tokenizer.load_tokenizer` takes as one ``tokenizer.json``.

    Returns:
        The tokenizer, and whether it was made now (False: the same one was already there).

    Raises:
        DataError: ``output`` is another tokenizer, or cannot be written.
    """
    tokenizer = load_tokenizer(path)
    if output.exists() and not overwrite:
        if fingerprint_of(load_tokenizer(output)) != fingerprint_of(tokenizer):
            check_same(output, ["tokens"])
        return tokenizer, False
    manifest_path(output).unlink(missing_ok=True)
    save_tokenizer(tokenizer, output)
    return tokenizer, True


def manifest_path(output: Path) -> Path:
    """``tokenizer.manifest.json`` for ``tokenizer.json``."""
    return output.with_name(f"{output.name.removesuffix('.json')}.manifest.json")


def _existing(output: Path, planned: Mapping[str, Any]) -> Tokenizer:
    path = manifest_path(output)
    if not path.is_file():
        raise no_output_of_ours(output, path.name)
    found = read_json_object(path)
    different = [name for name in planned if found.get(name) != planned[name]]
    tokenizer = load_tokenizer(output)
    if found.get("sha256") != fingerprint_of(tokenizer):
        different.append("tokens")
    check_same(output, different)
    return tokenizer
