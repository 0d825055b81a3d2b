"""Byte-level BPE: GPT-2's, or one trained on the corpus; both kept as one ``tokenizer.json``."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.progress import progress, stages
from mediswift_cs.storage.read import read_text
from mediswift_cs.storage.write import write_text
from mediswift_cs.tokens.hdf5 import MAX_TOKEN_ID
from mediswift_cs.tokens.manifest import TOKENIZER_NAME, TokenizerEntry

EOS = "<|endoftext|>"
# What an exported model's tokenizer has beside the tokens of its text: names of rows that no token
# has, with their id, and the virtual tokens of a soft prompt, counted.
UNUSED_TOKEN = "<|unused_{}|>"
VIRTUAL_TOKEN = "<|soft_{}|>"
_IS_VIRTUAL = re.compile(re.escape(VIRTUAL_TOKEN).replace(r"\{\}", r"\d+")).fullmatch

# fingerprint() of GPT-2's tokenizer (50,257 ids), whichever form of its files it is read from.
GPT2_TOKENIZER_SHA256 = "6d46fe4aa93afe55a8bceec519ce782296c62d040dec115da5870e2cf06d5b62"

# GPT-2's two files under the names of Hugging Face and of OpenAI.
_GPT2_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
# The 256 bytes and the end-of-text token.
_SMALLEST_VOCABULARY = 257
# `tokenizers` asks for the memory of the whole vocabulary at once, and ends the process where there
# is not enough.
_LARGEST_VOCABULARY = 2**20
# `tokenizers` counts pairs in int32.
_LARGEST_FREQUENCY = 2**31 - 1


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a ``tokenizer.json``, a folder that holds one, or a folder of GPT-2's two files.

    Truncation and padding, which such a file may switch on, are switched off, and the name of a
    special token in a text is read as text: a document decides nothing about where documents end.
    Of an exported model's tokenizer only the tokens of its text are left, as it was before.

    Raises:
        DataError: nothing there, unreadable, without ``<|endoftext|>``, or with ids that do not fit
            into a shard.
    """
    path = Path(path)
    file = path / TOKENIZER_NAME if path.is_dir() else path
    if file.is_file():
        tokenizer = _load_file(file)
    elif path.is_dir():
        tokenizer = _load_gpt2_folder(path)
    else:
        raise DataError(f"tokenizer {path} does not exist: give a tokenizer.json or its folder")
    if tokenizer.token_to_id(EOS) is None:
        raise DataError(f"tokenizer {path} has no token {EOS!r}, which ends each document")
    largest = vocab_size(tokenizer) - 1
    if largest > MAX_TOKEN_ID:
        raise DataError(f"tokenizer {path}: got the id {largest}, allowed: at most {MAX_TOKEN_ID}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _load_file(file: Path) -> Tokenizer:
    text = read_text(file)
    try:
        return _without_model_rows(Tokenizer.from_str(text))
    except Exception as error:  # tokenizers raises bare Exception on any malformed file
        raise DataError(f"{file} is not a tokenizer.json: {error}") from error


def _without_model_rows(tokenizer: Tokenizer) -> Tokenizer:
    """Without the names that an export gave to rows of the model, and the prompt it puts in."""
    names = {
        token.content
        for number, token in tokenizer.get_added_tokens_decoder().items()
        if token.special
        and (token.content == UNUSED_TOKEN.format(number) or _IS_VIRTUAL(token.content))
    }
    if not names:
        return tokenizer
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] not in names]
    for name in names & content["model"]["vocab"].keys():
        del content["model"]["vocab"][name]
    if any(_IS_VIRTUAL(name) for name in names):
        # It changes no id, as those of other tokenizers here.
        content["post_processor"] = None
    return Tokenizer.from_str(json.dumps(content))


def _load_gpt2_folder(folder: Path) -> Tokenizer:
    for vocab_name, merges_name in _GPT2_FILES:
        vocab, merges = folder / vocab_name, folder / merges_name
        if vocab.is_file() and merges.is_file():
            break
    else:
        pairs = ", ".join(" + ".join(pair) for pair in _GPT2_FILES)
        raise DataError(f"no tokenizer in {folder}, allowed: tokenizer.json, {pairs}")
    try:
        tokenizer = _byte_level(models.BPE.from_file(str(vocab), str(merges)))
    except Exception as error:  # tokenizers raises bare Exception on any malformed file
        raise DataError(f"{vocab} and {merges} are not a BPE tokenizer: {error}") from error
    if tokenizer.token_to_id(EOS) is None:
        raise DataError(f"{vocab} has no token {EOS!r}, which ends each document")
    tokenizer.add_special_tokens([_eos_token()])
    return tokenizer


def _check_settings(vocab_size: int, min_frequency: int) -> None:
    if not _SMALLEST_VOCABULARY <= vocab_size <= _LARGEST_VOCABULARY:
        raise ConfigError(
            f"vocab_size: got {vocab_size}, allowed: {_SMALLEST_VOCABULARY} (256 bytes and {EOS}) "
            f"to {_LARGEST_VOCABULARY}"
        )
    if not 1 <= min_frequency <= _LARGEST_FREQUENCY:
        raise ConfigError(f"min_frequency: got {min_frequency}, allowed: 1 to {_LARGEST_FREQUENCY}")


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocab_size: int,
    min_frequency: int,
    num_texts: int | None,
    show_progress: bool,
) -> Tokenizer:
    """Train a byte-level BPE without prefix space, as BioMedLM did for PubMed.

    The result may have fewer than ``vocab_size`` ids when the texts hold too few pairs that occur
    ``min_frequency`` times. ``<|endoftext|>`` has id 0.

    Args:
        num_texts: how many there are, if that is known, for the time left.

    Raises:
        ConfigError: vocab_size or min_frequency is out of its range.
        DataError: no text, or none that is not empty.
    """
    _check_settings(vocab_size, min_frequency)
    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[_eos_token()],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,  # it has no time left
    )
    bar = progress("read", "docs", texts, total=num_texts, is_shown=show_progress)
    num_usable = 0
    with ExitStack() as stack:

        def counted() -> Iterator[str]:
            nonlocal num_usable
            for text in bar:
                num_usable += bool(text.strip())
                yield text
            stack.enter_context(stages("tokenizer", is_shown=show_progress))("merging pairs")

        tokenizer.train_from_iterator(counted(), trainer)
    if not num_usable:
        raise DataError("no text to train a tokenizer on: the documents are empty")
    tokenizer.encode_special_tokens = True
    return tokenizer


def _eos_token() -> AddedToken:
    return AddedToken(EOS, special=True, normalized=False)


def _byte_level(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write ``tokenizer.json`` whole or not at all.

    Raises:
        DataError: the place cannot be written.
    """
    write_text(path, tokenizer.to_str(pretty=True))


def vocab_size(tokenizer: Tokenizer) -> int:
    """Largest id plus one: the rows that an embedding needs (ids may have gaps)."""
    return int(max(tokenizer.get_vocab(with_added_tokens=True).values())) + 1


def text_bytes(counts: npt.NDArray[np.int64], tokenizer: Tokenizer) -> int:
    """How many bytes of text tokens stand for, special tokens for none.

    Args:
        counts: int64 [vocab_size], how often each id occurs.
        tokenizer: a byte-level BPE, whose tokens are written with one character a byte.
    """
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    lengths = [
        0 if i in special else len(tokenizer.id_to_token(i) or "") for i in range(len(counts))
    ]
    return int(counts @ np.array(lengths, np.int64))


def tokenizer_entry(tokenizer: Tokenizer) -> TokenizerEntry:
    """What a manifest says of the tokenizer that lies beside it as ``tokenizer.json``."""
    return TokenizerEntry(
        file=TOKENIZER_NAME,
        sha256=fingerprint_of(tokenizer),
        vocab_size=vocab_size(tokenizer),
        eos_id=tokenizer.token_to_id(EOS),
    )


def fingerprint(path: Path) -> str:
    """sha256 of what decides a text's ids: the same for every file form of the same tokenizer.

    Vocabulary, merges, added tokens, normalizer and pre-tokenizer count. Formatting, the order of
    keys, decoder, post-processor, truncation and padding do not: none of them changes the ids that
    :mod:`mediswift_cs.tokens` writes.

    Args:
        path: anything :func:`load_tokenizer` takes.
    """
    return fingerprint_of(load_tokenizer(path))


def fingerprint_of(tokenizer: Tokenizer) -> str:
    """:func:`fingerprint` of a loaded tokenizer."""
    content = json.loads(tokenizer.to_str())
    model = {
        # Affixes are "" or null for "none" in different files.
        key: None if value in ("", False) else value
        for key, value in content["model"].items()
    }
    meaning = {
        "model": {key: value for key, value in model.items() if value is not None},
        "added_tokens": sorted(map(_token_meaning, content["added_tokens"]), key=str),
        "normalizer": content["normalizer"],
        "pre_tokenizer": _without_offsets(content["pre_tokenizer"]),
    }
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _token_meaning(token: dict[str, Any]) -> dict[str, Any]:
    # Special tokens are never looked for in a text (load_tokenizer), so how they would be found
    # does not count for them.
    kept: tuple[str, ...] = ("id", "content", "special")
    if not token["special"]:
        kept += ("single_word", "lstrip", "rstrip", "normalized")
    return {key: token[key] for key in kept}


def _without_offsets(value: Any) -> Any:
    """Drop ``trim_offsets``, which moves character offsets and never ids."""
    if isinstance(value, dict):
        return {key: _without_offsets(v) for key, v in value.items() if key != "trim_offsets"}
    if isinstance(value, list):
        return [_without_offsets(item) for item in value]
    return value
