"""Texts -> token ids by `fastokens`, some ten times as fast as `tokenizers`, which it has to equal.

`tokenizers` says what the ids are. It is used alone where `fastokens` is not installed or does not
know such a tokenizer, and it checks `fastokens` otherwise: at the start, for each character in
several surroundings when it first comes, and for every hundredth text of an input.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mediswift_cs.errors import DataError

Ids = npt.NDArray[np.int32]

# The one kind of tokenizer that both libraries were compared on: GPT-2's, and what
# `mediswift tokenizer` trains. Every other key of the model has to say "none".
_PRE_TOKENIZER = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_MODEL_KEYS = frozenset(("type", "vocab", "merges"))

# The libraries have Unicode's tables each from another version, and what a character is decides
# where words end: beside letters, numbers, spaces and punctuation.
_PROBE = " a{0}b {0} 1{0}2 .{0}, {0}{0}\n{0}"
_ASCII = frozenset(map(chr, range(128)))
# Of the vocabulary, what is compared at the start; of the texts, what is compared whole.
_VOCABULARY_STEP = 8
_CHECK_STEP = 100
_SHOWN = 60


class Encoder:
    """Gives the token ids of texts, the same ones as ``tokenizer``.

    Args:
        tokenizer: as :func:`~.tokenizer.load_tokenizer` gives it, to which a special token's name
            in a text is text.

    Attributes:
        is_fast: whether `fastokens` is used.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode_special_tokens
        self._tokenizer = tokenizer
        self._known = set(_ASCII)
        self._fast: Any = None
        obstacle = self._try_fast()
        self.is_fast = obstacle is None
        if obstacle is not None:
            self._fast = None
            _say_once(f"tokenizing with `tokenizers` alone, which is slower: {obstacle}")

    def _try_fast(self) -> str | None:
        """Load `fastokens`; returns what stands against using it."""
        try:
            from fastokens import Tokenizer as FastTokenizer
        except ImportError as error:
            return f"`fastokens` cannot be imported ({error})"
        content = self._tokenizer.to_str()
        other = _other_kind(json.loads(content))
        if other is not None:
            return (
                f"`fastokens` is used for byte-level BPE as GPT-2's, and this tokenizer has {other}"
            )
        try:
            self._fast = FastTokenizer.from_json_str(content)
        except ValueError as error:
            return f"`fastokens` cannot load this tokenizer: {error}"
        ids = sorted(self._tokenizer.get_vocab().values())[::_VOCABULARY_STEP]
        texts = [self._tokenizer.decode(ids), *map(_PROBE.format, sorted(_ASCII))]
        different = self._different(texts, self._encode_fast(texts))
        return None if different is None else f"`fastokens` gives other ids for {different!r}"

    def encode_batch(self, texts: Sequence[str], first: int) -> list[Ids]:
        """The ids of each text, int32 [num_tokens], without any special token.

        Args:
            first: the number of the first text in its input. It decides which are checked, so that
                what was wrong once is wrong again when the same input is tried again.

        Raises:
            DataError: `fastokens` gave other ids than `tokenizers` for a text that was checked.
        """
        if not self.is_fast:
            return self._encode_slowly(texts)
        ids = self._encode_fast(texts)
        checked = slice(-first % _CHECK_STEP, None, _CHECK_STEP)
        probes = self._probes(texts)
        different = self._different(texts[checked], ids[checked])
        if different is None:
            different = self._different(probes, self._encode_fast(probes))
        if different is not None:
            raise DataError(
                f"fastokens gave other token ids than tokenizers for a text, which begins "
                f"{different!r}: `pip uninstall fastokens` and run again, which uses nothing that "
                "was made with it"
            )
        return ids

    def _probes(self, texts: Sequence[str]) -> list[str]:
        """Each character that no text before had, in its surroundings."""
        characters = set("".join(text for text in texts if not text.isascii())) - self._known
        self._known |= characters
        return [_PROBE.format(character) for character in sorted(characters)]

    def _encode_slowly(self, texts: Sequence[str]) -> list[Ids]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    def _encode_fast(self, texts: Sequence[str]) -> list[Ids]:
        content, offsets = self._fast.encode_batch_flat(
            list(texts), add_special_tokens=False, split_special_tokens=True
        )
        ids = np.frombuffer(content, "<u4").view("<i4")
        bounds = np.frombuffer(offsets, "<u8").tolist()
        return [ids[start:end] for start, end in pairwise(bounds)]

    def _different(self, texts: Sequence[str], ids: Iterable[Ids]) -> str | None:
        """The beginning of the first text whose ids are not those of `tokenizers`."""
        if not texts:
            return None
        expected = self._encode_slowly(texts)
        is_other = (not np.array_equal(a, b) for a, b in zip(ids, expected, strict=True))
        return next((text[:_SHOWN] for text in compress(texts, is_other)), None)


@lru_cache(maxsize=1)
def encoder_of(tokenizer: Tokenizer) -> Encoder:
    """The encoder of a tokenizer, made once for all parts of a corpus."""
    return Encoder(tokenizer)


@lru_cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _other_kind(content: dict[str, Any]) -> str | None:
    """What a ``tokenizer.json`` has that the two libraries were not compared on."""
    if content["model"]["type"] != "BPE":
        return f"a model of type {content['model']['type']}"
    if content["normalizer"] is not None:
        return "a normalizer"
    found = content["pre_tokenizer"]
    if not isinstance(found, dict) or {k: found.get(k) for k in _PRE_TOKENIZER} != _PRE_TOKENIZER:
        return "another pre-tokenizer"
    for name, value in content["model"].items():
        if name not in _MODEL_KEYS and value not in (None, False, ""):
            return f"the setting {name} of the model"
    if any(not token["special"] for token in content["added_tokens"]):
        return "added tokens that are looked for in texts"
    return None
