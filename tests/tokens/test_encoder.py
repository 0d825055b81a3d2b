"""The fast encoder gives the ids of `tokenizers`, or its difference is found."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from mediswift_cs.corpora.pmc import read_pmc
from mediswift_cs.corpora.pubmed import Record, read_pubmed
from mediswift_cs.errors import DataError
from mediswift_cs.tokens import encoder as encoder_module
from mediswift_cs.tokens.build_shards import SAMPLES_PER_SHARD, VAL_FRACTION, build_shards
from mediswift_cs.tokens.encoder import Encoder, encoder_of
from mediswift_cs.tokens.texts import documents_source
from mediswift_cs.tokens.tokenizer import EOS, load_tokenizer, train_tokenizer

from .conftest import texts

pytest.importorskip("fastokens", reason="what is compared with `tokenizers`")

train = partial(train_tokenizer, min_frequency=2, num_texts=None, show_progress=False)
SIZES = {"max_sequence_length": 64, "samples_per_shard": SAMPLES_PER_SHARD}
build = partial(build_shards, **SIZES, val_fraction=VAL_FRACTION, overwrite=False)

SPELLINGS = [EOS, f"a{EOS}b", f" {EOS} ", EOS[:-1], EOS * 2, "<pad>", "", " ", " \n\n  a"]
SPELLINGS += ["\u2028a", "don't I'LL 're'veX", "\x00a\x00", "\u0130", "e\u0301", "a" * 5000]
SPELLINGS += ["." * 4000, " " * 3000 + "x", "x" + " " * 3000, "'" * 500, "1" * 3000]
SPELLINGS += ["\ufeffa", "\U0001f9ec\u200d"]


@pytest.fixture(scope="module", params=["trained", "gpt2"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "gpt2":
        shared_data: Path = request.getfixturevalue("shared_data")
        return load_tokenizer(shared_data / "tokenizers" / "gpt2")
    return train([*texts(100), "\u03b2-cells 10\u207b\u00b3 \u2264 5."], vocab_size=400)


def differences(tokenizer: Tokenizer, given: list[str]) -> list[str]:
    """Texts to which the fast library gives other ids, without the encoder's own checks."""
    fast = encoder_of(tokenizer)
    assert fast.is_fast
    found = []
    for start in range(0, len(given), 256):
        some = given[start : start + 256]
        encodings = tokenizer.encode_batch_fast(some, add_special_tokens=False)
        for text, ids, encoding in zip(some, fast._encode_fast(some), encodings, strict=True):
            if ids.tolist() != encoding.ids:
                found.append(text)
    return found


def code_points() -> Iterator[str]:
    """All of Unicode, 64 characters at a time, beside letters, numbers, spaces and punctuation."""
    numbers = [n for n in range(0x110000) if not 0xD800 <= n < 0xE000]
    for start in range(0, len(numbers), 64):
        yield "".join(f" a{c}b1{c} {c}." for c in map(chr, numbers[start : start + 64]))


def mixed_blocks(number: int) -> Iterator[str]:
    """Random runs of characters, each from another block, with what splits words between them."""
    source = random.Random(number)
    between = ("", " ", "  ", "\n", "'s", "'LL", "12", "a", "\t ", "\u00a0", ".", EOS, " the")
    for _ in range(number):
        runs = []
        for _ in range(source.randint(1, 12)):
            block = source.randrange(0, 0x110000 >> 7) << 7
            numbers = (block + source.randrange(128) for _ in range(source.randint(1, 8)))
            runs += [chr(n) for n in numbers if not 0xD800 <= n < 0xE000] + [source.choice(between)]
        yield "".join(runs)


def test_the_ids_are_those_of_tokenizers(tokenizer: Tokenizer) -> None:
    vocabulary = [tokenizer.decode([id_]) for id_ in tokenizer.get_vocab().values()]
    given = [*SPELLINGS, *vocabulary, *code_points(), *mixed_blocks(2000)]
    assert not differences(tokenizer, given)
    # Control: where a special token's name is that token and no text, the ids are others.
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.encode_special_tokens = True
    fast = Encoder(tokenizer)
    tokenizer.encode_special_tokens = False
    assert fast._different([EOS], fast._encode_fast([EOS])) == EOS


@settings(max_examples=200, deadline=None)
@given(given=st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_text(tokenizer: Tokenizer, given: list[str]) -> None:
    assert not differences(tokenizer, given)


@pytest.mark.parametrize("change", ["shuffled", "dropped", "unreachable", "renumbered", "none"])
def test_any_vocabulary(change: str) -> None:
    """Merges in another order than they were learnt in, and tokens that none of them makes."""
    source = random.Random(0)
    given = [*texts(60, seed=3), *SPELLINGS, *mixed_blocks(100)]
    for vocab_size in (270, 320, 500):
        content = json.loads(train(given[:30], vocab_size=vocab_size).to_str())
        model = content["model"]
        if change == "shuffled":
            source.shuffle(model["merges"])
        elif change == "dropped":
            model["merges"] = [merge for merge in model["merges"] if source.random() > 0.2]
        elif change == "renumbered":
            numbers = list(model["vocab"].values())
            source.shuffle(numbers)
            model["vocab"] = dict(zip(model["vocab"], numbers, strict=True))
            content["added_tokens"][0]["id"] = model["vocab"][EOS]
        elif change == "unreachable":
            for token in ("\u0120study", "mice", "\u0120the", "(", "\u010a\u010a"):
                model["vocab"].setdefault(token, len(model["vocab"]))
        loaded = Tokenizer.from_str(json.dumps(content))
        loaded.encode_special_tokens = True
        assert not differences(loaded, given)


def test_real_texts(tokenizer: Tokenizer, shared_data: Path) -> None:
    given = [
        article.to_document(path.name).text
        for folder in ("oa", "craft")
        for path in sorted((shared_data / "pmc_nxml" / folder).glob("*.nxml"))
        for article in read_pmc(path, text_options=None)
        if article.id
    ]
    for path in sorted((shared_data / "pubmed_xml").rglob("*.xml.gz")):
        if path.parent.name in ("net_synergy", "pmparser"):
            records = (each for each in read_pubmed(path) if isinstance(each, Record))
            given += [record.to_document(path.name).text for record in records if record.pmid]
    assert len(given) > 400
    assert not differences(tokenizer, given)


class WrongFor:
    """A fast library that gives an id too many for texts that hold ``part``."""

    def __init__(self, fast: Any, part: str) -> None:
        self._fast, self._part = fast, part

    def encode_batch_flat(self, given: list[str], **options: Any) -> tuple[bytes, bytes]:
        wrong = [text + " and" if self._part in text else text for text in given]
        result: tuple[bytes, bytes] = self._fast.encode_batch_flat(wrong, **options)
        return result


def test_a_wrong_encoder_is_found(tokenizer_path: Path) -> None:
    fast = Encoder(load_tokenizer(tokenizer_path))
    given = texts(300)
    fast.encode_batch(given, first=0)
    right, fast._fast = fast._fast, WrongFor(fast._fast, "protein")
    with pytest.raises(DataError, match=r"fastokens gave other token ids .*'[0-9]+ "):
        fast.encode_batch(given, first=0)
    # A character that never came before is looked at in the first text that has it.
    fast._fast = WrongFor(right, "\u03b6")
    fast.encode_batch(given, first=0)
    with pytest.raises(DataError, match="a\u03b6b"):
        fast.encode_batch([*given[:50], "of \u03b6 cells", *given[50:90]], first=0)
    # Control: once it was compared, only every hundredth text is.
    fast.encode_batch(["of \u03b6 cells"], 1)


def test_every_hundredth_text_is_compared_over_all_batches(tokenizer_path: Path) -> None:
    fast = Encoder(load_tokenizer(tokenizer_path))
    compared: list[str] = []
    real = fast._encode_slowly
    fast._encode_slowly = lambda given: compared.extend(given) or real(given)  # type: ignore[method-assign,func-returns-value]
    given = [text.replace("\u03b2", "b") for text in texts(1000)]
    for start in range(0, 1000, 30):
        fast.encode_batch(given[start : start + 30], start)
    assert compared == given[::100]


def test_what_was_wrong_once_is_wrong_again(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the encoder was given before: another worker's parts, or those of a killed run."""
    # Empty texts do not count.
    given = ["", *texts(100), "", "found wrong", *texts(50)]
    source = documents_source([documents_file([(str(n), text) for n, text in enumerate(given)])])
    fast = Encoder(load_tokenizer(tokenizer_path))
    fast._fast = WrongFor(fast._fast, "found wrong")
    monkeypatch.setattr("mediswift_cs.tokens.build_shards.encoder_of", lambda _: fast)
    monkeypatch.setattr("mediswift_cs.tokens.build_shards._BATCH_DOCUMENTS", 40)
    for before in (0, 1, 30):
        fast.encode_batch(texts(before), first=0)
        with pytest.raises(DataError, match="fastokens gave other token ids"):
            build(source, tokenizer_path, tmp_path / "out")


def test_one_that_is_wrong_at_the_start_is_not_used(
    tokenizer_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import fastokens

    class Loads:
        @staticmethod
        def from_json_str(content: str) -> WrongFor:
            return WrongFor(real.from_json_str(content), "!")

    real = fastokens.Tokenizer
    monkeypatch.setattr(fastokens, "Tokenizer", Loads)
    tokenizer = load_tokenizer(tokenizer_path)
    slow = Encoder(tokenizer)
    assert not slow.is_fast
    assert "`fastokens` gives other ids for ' a!b" in capsys.readouterr().err
    assert slow.encode_batch(["a!b"], first=0)[0].tolist() == tokenizer.encode("a!b").ids


def with_normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFC()


def with_prefix_space(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def with_digits(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def with_added_word(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens([AddedToken("cells", special=False)])


def with_dropout(tokenizer: Tokenizer) -> None:
    tokenizer.model.dropout = 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_normalizer, "a normalizer"),
        (with_prefix_space, "another pre-tokenizer"),
        (with_digits, "another pre-tokenizer"),
        (with_added_word, "added tokens that are looked for in texts"),
        (with_dropout, "the setting dropout of the model"),
    ],
)
def test_other_tokenizers_are_read_by_tokenizers_alone(
    change: Any, message: str, tokenizer_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder_module._say_once.cache_clear()
    tokenizer = load_tokenizer(tokenizer_path)
    change(tokenizer)
    for _ in range(2):
        slow = Encoder(tokenizer)
        assert not slow.is_fast
    assert capsys.readouterr().err.count(message) == 1
    if change is not with_dropout:
        for text in ("12 cells e\u0301", EOS):
            assert slow.encode_batch([text], first=0)[0].tolist() == tokenizer.encode(text).ids


def test_the_same_shards_with_and_without_it(
    documents_file: Any, tokenizer_path: Path, tmp_path: Path
) -> None:
    given = [*texts(300), *SPELLINGS, *mixed_blocks(200)]
    documents = documents_file([(f"pubmed:{n}", text) for n, text in enumerate(given)])
    source = documents_source([documents])
    build(source, tokenizer_path, tmp_path / "fast")
    # In a process where the package is not installed.
    program = (
        "import sys; sys.modules['fastokens'] = None\n"
        "from pathlib import Path\n"
        "from mediswift_cs.tokens.build_shards import build_shards\n"
        "from mediswift_cs.tokens.texts import documents_source\n"
        "documents, tokenizer, output = map(Path, sys.argv[1:])\n"
        "build_shards(documents_source([documents]), tokenizer, output, max_sequence_length=64,\n"
        f" val_fraction={VAL_FRACTION}, samples_per_shard={SAMPLES_PER_SHARD}, overwrite=False)\n"
    )
    command = [sys.executable, "-c", program, documents, tokenizer_path, tmp_path / "slow"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stderr.count("`fastokens` cannot be imported") == 1
    made = sorted(p.relative_to(tmp_path / "fast") for p in (tmp_path / "fast").rglob("*.*"))
    assert any(path.suffix == ".h5" for path in made)
    for path in made:
        assert (tmp_path / "fast" / path).read_bytes() == (tmp_path / "slow" / path).read_bytes()


def test_ids_are_int32(tokenizer_path: Path) -> None:
    for ids in Encoder(load_tokenizer(tokenizer_path)).encode_batch(["cells", ""], first=0):
        assert ids.dtype == np.int32
