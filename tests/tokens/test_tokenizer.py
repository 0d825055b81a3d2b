import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tokens.tokenizer import (
    EOS,
    GPT2_TOKENIZER_SHA256,
    fingerprint,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
    vocab_size,
)

TEXTS = ["The cells of the cell line were lysed.", "β-catenin in cell lines, 5 µm."] * 20
SENTENCES = [
    "Hello world",
    "  two  spaces\n and a line ",
    "β-catenin ≤ 10⁻³ — naïve café 🧬",
    "It's 1,234.5 mg/kg (p<0.001).",
    "",
]


@pytest.fixture(scope="session")
def gpt2_folder(shared_data: Path) -> Any:
    return shared_data / "tokenizers" / "gpt2"


@pytest.fixture
def trained(tmp_path: Path) -> Any:
    path = tmp_path / "tokenizer.json"
    save_tokenizer(
        train_tokenizer(
            TEXTS, vocab_size=280, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path


def test_gpt2(gpt2_folder: Path) -> None:
    tokenizer = load_tokenizer(gpt2_folder)
    assert tokenizer.encode("Hello world").ids == [15496, 995]
    assert tokenizer.token_to_id(EOS) == 50256
    assert vocab_size(tokenizer) == 50257


def test_gpt2_gives_the_ids_of_transformers(gpt2_folder: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comparing with it needs it")
    ours = load_tokenizer(gpt2_folder)
    theirs = transformers.GPT2TokenizerFast.from_pretrained(str(gpt2_folder))
    for sentence in SENTENCES:
        assert ours.encode(sentence).ids == theirs(sentence).input_ids
        assert ours.decode(ours.encode(sentence).ids) == sentence
    # Control: a prefix space, GPT-2's one option, gives other ids.
    spaced = transformers.GPT2TokenizerFast.from_pretrained(str(gpt2_folder), add_prefix_space=True)
    assert spaced("Hello world").input_ids != ours.encode("Hello world").ids


def test_gpt2_in_openais_names(gpt2_folder: Path, tmp_path: Path) -> None:
    shutil.copy(gpt2_folder / "vocab.json", tmp_path / "encoder.json")
    shutil.copy(gpt2_folder / "merges.txt", tmp_path / "vocab.bpe")
    assert load_tokenizer(tmp_path).encode("Hello world").ids == [15496, 995]
    assert fingerprint(tmp_path) == GPT2_TOKENIZER_SHA256


def test_fingerprint_of_gpt2_in_every_form(gpt2_folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comparing with it needs it")
    assert fingerprint(gpt2_folder) == GPT2_TOKENIZER_SHA256
    save_tokenizer(load_tokenizer(gpt2_folder), tmp_path / "ours.json")
    assert fingerprint(tmp_path / "ours.json") == GPT2_TOKENIZER_SHA256
    transformers.GPT2TokenizerFast.from_pretrained(str(gpt2_folder)).save_pretrained(
        tmp_path / "theirs"
    )
    assert fingerprint(tmp_path / "theirs") == GPT2_TOKENIZER_SHA256
    content = json.loads((tmp_path / "ours.json").read_text())
    (tmp_path / "compact.json").write_text(json.dumps(content, sort_keys=True))
    assert fingerprint(tmp_path / "compact.json") == GPT2_TOKENIZER_SHA256


def test_fingerprint_sees_everything_that_decides_ids(trained: Any, tmp_path: Path) -> None:
    original = json.loads(trained.read_text())

    def changed(change: Any) -> Any:
        content = json.loads(json.dumps(original))
        change(content)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(content))
        return fingerprint(path)

    assert changed(lambda c: None) == fingerprint(trained)
    assert changed(lambda c: c.update(decoder=None, post_processor=None)) == fingerprint(trained)

    def swap_ids(content: Any) -> None:
        vocab = content["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]

    prefix = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }
    for change in (
        swap_ids,
        lambda c: c["model"]["merges"].pop(),
        lambda c: c.update(normalizer={"type": "NFC"}),
        lambda c: c.update(pre_tokenizer=prefix),
        lambda c: c["added_tokens"].append({**c["added_tokens"][0], "id": 280, "content": "<x>"}),
    ):
        assert changed(change) != fingerprint(trained)


def test_a_trained_tokenizer_is_one_that_transformers_loads(trained: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="comparing with it needs it")
    ours = load_tokenizer(trained)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(trained), eos_token=EOS)
    assert vocab_size(ours) == 280
    assert ours.token_to_id(EOS) == theirs.eos_token_id == 0
    for sentence in SENTENCES:
        ids = ours.encode(sentence).ids
        assert ids == theirs(sentence).input_ids
        assert theirs.decode(ids, clean_up_tokenization_spaces=False) == sentence
    assert len(ours.encode("cell lines").ids) < len("cell lines")


def test_training_is_deterministic(trained: Any, tmp_path: Path) -> None:
    save_tokenizer(
        train_tokenizer(
            TEXTS, vocab_size=280, min_frequency=2, num_texts=None, show_progress=False
        ),
        tmp_path / "again.json",
    )
    assert (tmp_path / "again.json").read_bytes() == trained.read_bytes()
    save_tokenizer(
        train_tokenizer(
            TEXTS[:1] * 9, vocab_size=280, min_frequency=2, num_texts=None, show_progress=False
        ),
        tmp_path / "other.json",
    )
    assert (tmp_path / "other.json").read_bytes() != trained.read_bytes()


def test_min_frequency(tmp_path: Path) -> None:
    rare = train_tokenizer(
        ["abcdefg hijklmn"], vocab_size=1000, min_frequency=2, num_texts=None, show_progress=False
    )
    assert vocab_size(rare) == 257
    assert (
        vocab_size(
            train_tokenizer(
                ["abcdefg hijklmn"],
                vocab_size=1000,
                min_frequency=1,
                num_texts=None,
                show_progress=False,
            )
        )
        > 257
    )


def test_the_name_of_the_end_token_in_a_text_is_text(
    gpt2_folder: Path, trained: Any, tmp_path: Path
) -> None:
    for path in (gpt2_folder, trained):
        tokenizer = load_tokenizer(path)
        ids = tokenizer.encode(f"a{EOS}b").ids
        assert tokenizer.token_to_id(EOS) not in ids
        assert tokenizer.decode(ids) == f"a{EOS}b"
    # Control: as saved, the file reads it as the token.
    assert 0 in Tokenizer.from_file(str(trained)).encode(f"a{EOS}b").ids


def test_truncation_and_padding_of_the_file_are_switched_off(trained: Any, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(trained))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8, pad_token=EOS)
    tokenizer.save(str(tmp_path / "cut.json"))
    text = "The cells of the cell line"
    assert len(Tokenizer.from_file(str(tmp_path / "cut.json")).encode(text).ids) == 8
    cut = load_tokenizer(tmp_path / "cut.json")
    assert cut.encode(text).ids == load_tokenizer(trained).encode(text).ids
    assert fingerprint(tmp_path / "cut.json") == fingerprint(trained)


def test_gaps_in_the_ids_count_for_the_vocabulary(trained: Any, tmp_path: Path) -> None:
    content = json.loads(trained.read_text())
    content["model"]["vocab"]["zz"] = 999
    (tmp_path / "gap.json").write_text(json.dumps(content))
    assert vocab_size(load_tokenizer(tmp_path / "gap.json")) == 1000


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no tokenizer in .*, allowed: tokenizer\.json, vocab\.json \+ merges\.txt, encoder"),
        ({"tokenizer.json": "{"}, r"tokenizer\.json is not a tokenizer\.json"),
        ({"vocab.json": "{", "merges.txt": ""}, "are not a BPE tokenizer"),
        ({"vocab.json": '{"a": 0}', "merges.txt": "#version: 0.2\n"}, "has no token"),
    ],
)
def test_bad_tokenizers_are_refused(tmp_path: Path, files: Any, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load_tokenizer(tmp_path)


def test_missing_and_endless_tokenizers_are_refused(tmp_path: Path, trained: Any) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        load_tokenizer(tmp_path / "nowhere")
    content = json.loads(trained.read_text())
    del content["model"]["vocab"][EOS]
    content["added_tokens"] = []
    (tmp_path / "endless.json").write_text(json.dumps(content))
    with pytest.raises(
        DataError, match=r"has no token '<\|endoftext\|>', which ends each document"
    ):
        load_tokenizer(tmp_path / "endless.json")


def test_ids_that_no_shard_can_hold_are_refused(tmp_path: Path, trained: Any) -> None:
    content = json.loads(trained.read_text())
    content["model"]["vocab"]["zz"] = 3_000_000_000
    (tmp_path / "large.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="got the id 3000000000, allowed: at most 2147483647"):
        load_tokenizer(tmp_path / "large.json")


def test_settings_out_of_range() -> None:
    # Just above what is allowed: far above it, `tokenizers` ends the process.
    for number in (256, 2**20 + 1):
        with pytest.raises(ConfigError, match=rf"got {number}, allowed: 257 .* to 1048576"):
            train_tokenizer(
                TEXTS, vocab_size=number, min_frequency=2, num_texts=None, show_progress=False
            )
    for number in (0, 2**31, 10**23):
        with pytest.raises(ConfigError, match=f"got {number}, allowed: 1 to 2147483647"):
            train_tokenizer(
                TEXTS, vocab_size=300, min_frequency=number, num_texts=None, show_progress=False
            )


@pytest.mark.parametrize("texts", [[], [""], ["", " \n"]])
def test_there_must_be_text_to_train_on(texts: Any) -> None:
    with pytest.raises(DataError, match="no text to train a tokenizer on"):
        train_tokenizer(texts, vocab_size=300, min_frequency=2, num_texts=None, show_progress=False)


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        save_tokenizer(
            train_tokenizer(
                TEXTS, vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
            ),
            tmp_path / "file" / "t.json",
        )


def test_a_normalizer_is_part_of_the_fingerprint(trained: Any, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(trained))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(tmp_path / "lower.json"))
    assert fingerprint(tmp_path / "lower.json") != fingerprint(trained)
