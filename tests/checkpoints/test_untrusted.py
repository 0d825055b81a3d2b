"""Folders that others made: taken as they are meant, or one sentence and exit code 2."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from ..small_gpt2 import small_gpt2
from .refusals import refused, taken

INDEX = "model.safetensors.index.json"
WORDS = "transformer.wte.weight"
ADDED = {"num_added_tokens": 500}
Change = Callable[[Path], object]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A small model of transformers, in one file."""
    small_gpt2().save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture
def sharded(theirs: Path) -> Path:
    """The same in several files."""
    model = GPT2LMHeadModel.from_pretrained(theirs)
    (theirs / "model.safetensors").unlink()
    model.save_pretrained(theirs, max_shard_size="40KB")
    return theirs


def setting(key: str, value: Any) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))

    return change


def without(key: str) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        config = json.loads(file.read_text())
        del config[key]
        file.write_text(json.dumps(config))

    return change


def config_text(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        text = file.read_text()
        assert text.count(old) == 1
        file.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))

    return change


def note(**own: Any) -> Change:
    return setting("mediswift_cs", own)


def check_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, change: Change, message: str
) -> None:
    change(folder)
    line = refused(capsys, folder, folder.parent / "a.mdl")
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting("layer_norm_epsilon", 0), "layer_norm_epsilon in .*config.json: got 0, allowed"),
        (setting("layer_norm_epsilon", -1e-5), "layer_norm_epsilon .*: got -1e-05"),
        (setting("layer_norm_epsilon", "1e-5"), "layer_norm_epsilon .*: got '1e-5'"),
        (setting("n_inner", 0), "n_inner .*: got 0, allowed: a whole number, at least 1"),
        (setting("n_inner", False), "n_inner .*: got False"),
        (setting("n_inner", 96.0), "n_inner .*: got 96.0"),
        (setting("n_layer", 10**12), "n_layer .*: got 1000000000000, allowed: .*at most 1000"),
        (setting("n_head", -2), "n_head .*: got -2"),
        (setting("n_head", 2**70), "n_head .*: got a whole number of 71 bits"),
        (setting("n_head", 7), "num_heads: got 7, allowed: a divisor of hidden_size 24"),
        (setting("vocab_size", "211"), "vocab_size .*: got '211'"),
        (setting("tie_word_embeddings", "no"), "tie_word_embeddings .*: got 'no', allowed: true"),
        (setting("scale_attn_weights", 0), "scale_attn_weights .*: got 0, allowed: true or false"),
        (setting("scale_attn_by_inverse_layer_idx", "x"), "inverse_layer_idx .*: got 'x'"),
        (setting("activation_function", ["gelu"]), "activation_function .*: got .*'gelu'"),
        (setting("embd_pdrop", 2), "embd_pdrop .*: got 2"),
        (setting("num_attention_heads", 4), "num_attention_heads .*: got 4, allowed: 2"),
        (without("model_type"), "does not say model_type"),
        (without("n_embd"), "does not say n_embd"),
        (setting("position_embedding_type", "alibi"), "has position_embedding_type 'alibi'"),
        (setting("alibi", True), "has alibi True"),
        (setting("rotary_dim", 16), "has rotary_dim 16"),
        (setting("rope_scaling", {"type": "linear"}), "has rope_scaling"),
        (setting("use_rms_norm", True), "has use_rms_norm True"),
        (setting("num_key_value_heads", 1), "has num_key_value_heads 1"),
        (setting("quantization_config", {"bits": 4}), "has quantization_config"),
        (setting("pruned_heads", {"0": [1]}), "has pruned_heads"),
        (setting("add_cross_attention", True), "has add_cross_attention True"),
        (setting("auto_map", {"AutoModel": "code.Model"}), "has auto_map"),
        (config_text('"n_head": 2', '"n_head": 2, "n_head": 4'), "the key 'n_head' is written tw"),
        (config_text('"n_head": 2', '"n_head": NaN'), "NaN is no number of JSON"),
        (config_text('"n_head": 2', '"n_head": 1e999'), "n_head in .*: got inf"),
        (config_text('"gpt2"', '"\udcff"'), "not JSON, line 1: not UTF-8 text"),
        (config_text('"gpt2"', '"\\ud800"'), "model_type in .*allowed: text of Unicode"),
        (lambda folder: (folder / "config.json").write_text("[]"), "allowed: a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{}"), "does not say"),
        (setting("mediswift_cs", "x"), "mediswift_cs in .*: got 'x', allowed: a mapping"),
        (note(tokenizer_sha256=5), "tokenizer_sha256 in .*: got 5, allowed: 64 hexadecimal"),
        (note(model={"num_heads": 4}), "num_heads of .*: got 4, allowed: 2"),
        (note(model={"hidden_size": 24}), "does not say num_heads"),
        (note(model={"num_heads": 2, "use_ffn_bias": 0}), "use_ffn_bias in .*: got 0"),
        (note(model={"num_heads": 2, "rotary_dim": 4}), "has rotary_dim 4"),
        (
            note(soft_prompt={"num_virtual_tokens": 500, "position": "infix"}, **ADDED),
            "num_virtual_tokens .*: got 500, allowed: less than vocab_size 211",
        ),
        (
            note(soft_prompt={"num_virtual_tokens": 3, "position": "infix", "init": 5}),
            "init of .*: got 5",
        ),
    ],
)
def test_config(
    theirs: Path, capsys: pytest.CaptureFixture[str], change: Change, message: str
) -> None:
    check_refused(capsys, theirs, change, message)


def test_config_of_other_makers_is_taken(theirs: Path) -> None:
    """Control of the above: keys that ask for nothing, and transformers' second names."""
    for key, value in {
        "position_embedding_type": "absolute",
        "is_encoder_decoder": False,
        "pruned_heads": {},
        "hidden_size": 24,
        "quantization_config": None,
        "property_of_another_package": {"deep": [1, None]},
    }.items():
        setting(key, value)(theirs)
    without("n_embd")(theirs)
    taken(theirs)


def tensors(change: Callable[[dict[str, torch.Tensor]], object], layout: str = "pt") -> Change:
    def rewrite(folder: Path) -> None:
        file = folder / "model.safetensors"
        content = load_file(file)
        change(content)
        save_file(content, file, {"format": layout})

    return rewrite


def header(change: Callable[[bytes], bytes], tail: bytes = b"") -> Change:
    def rewrite(folder: Path) -> None:
        file = folder / "model.safetensors"
        raw = file.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        text = change(raw[8 : 8 + length])
        file.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :] + tail)

    return rewrite


def link_to_itself(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tensors(lambda _: None, "tf"), "format of .*model.safetensors: got 'tf', allowed: 'pt'"),
        (tensors(lambda t: t.update({WORDS: t[WORDS].int()})), "wte.weight .* has dtype int32, al"),
        (tensors(lambda t: t.update({WORDS: t[WORDS].bool()})), "wte.weight .* has dtype bool"),
        (tensors(lambda t: t.update({WORDS: t[WORDS].double()})), "wte.weight .* has dtype F64"),
        (tensors(lambda t: t.update({WORDS: t[WORDS].half()})), "several number formats"),
        (tensors(lambda t: t.update({WORDS: t[WORDS][0].clone()})), r"has shape \[24\], allowed"),
        (tensors(lambda t: t.update({WORDS: t[WORDS].T.contiguous()})), r"shape \[24, 211\]"),
        (tensors(lambda t: t.update({"a\nb": torch.ones(1)})), r"no rule, first: .*'.*a\\nb'"),
        (header(lambda h: h, b"x"), "not a complete safetensors file"),
        (header(lambda h: h.replace(b"wte", b"\xff\xfe\xfd")), "not a complete safetensors file"),
        (header(lambda h: h.replace(b"wte", b"\\ud8")), "not a complete safetensors file"),
        (header(lambda _: b"{}"), "not a complete safetensors file"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
            "not a complete safetensors file",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "not a complete"),
        (link_to_itself, "no model.safetensors"),
    ],
)
def test_weights(
    theirs: Path, capsys: pytest.CaptureFixture[str], change: Change, message: str
) -> None:
    check_refused(capsys, theirs, change, message)


def test_a_tensor_twice_in_one_header(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same place under the same name: the library takes the last and sees no gap."""

    def twice(text: bytes) -> bytes:
        content = json.loads(text)
        entry = json.dumps({WORDS: content[WORDS]})[1:-1]
        return text.rstrip()[:-1] + b"," + entry.encode() + b"}"

    check_refused(capsys, theirs, header(twice), r"transformer\.wte\.weight")


def test_an_index_beside_a_whole_file_is_not_read(theirs: Path) -> None:
    """As transformers does it."""
    (theirs / INDEX).write_text("{")
    taken(theirs)


def index(change: Callable[[dict[str, Any]], object]) -> Change:
    def rewrite(folder: Path) -> None:
        content = json.loads((folder / INDEX).read_text())
        change(content)
        (folder / INDEX).write_text(json.dumps(content))

    return rewrite


def duplicate(folder: Path) -> None:
    """The word embeddings in a second shard too, with other numbers."""
    shards = sorted(folder.glob("model-*.safetensors"))
    found = {path: load_file(path) for path in shards}
    (owner,) = [path for path, content in found.items() if WORDS in content]
    other = shards[0] if shards[0] != owner else shards[1]
    save_file({**found[other], WORDS: torch.zeros(211, 24)}, other, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (duplicate, "transformer.wte.weight is in .*, allowed: the file that"),
        (index(lambda i: i["weight_map"].update({WORDS: ".."})), "outside its folder: got '..'"),
        (index(lambda i: i["weight_map"].update({WORDS: ""})), "outside its folder: got ''"),
        (index(lambda i: i["weight_map"].update({WORDS: "/etc/x"})), "outside its folder"),
        (index(lambda i: i["weight_map"].update({WORDS: 3})), "outside its folder: got 3"),
        (index(lambda i: i["weight_map"].update({WORDS: ["a"]})), "outside its folder: got"),
        (index(lambda i: i["weight_map"].update({WORDS: "a\0b"})), "allowed: text of Unicode"),
        (index(lambda i: i["weight_map"].update({WORDS: "absent"})), "absent, which is not in"),
        (index(lambda i: i["weight_map"].update({"more": i["weight_map"][WORDS]})), "no tensor m"),
        (index(lambda i: i["weight_map"].pop(WORDS)), "wte.weight is in .*got null"),
        (index(lambda i: i.update(weight_map={})), "not a list of shards"),
        (index(lambda i: i.update(weight_map="x")), "not a list of shards"),
        (lambda folder: (folder / INDEX).write_text('{"a":1,"a":2}'), "'a' is written twice"),
    ],
)
def test_shards(
    sharded: Path, capsys: pytest.CaptureFixture[str], change: Change, message: str
) -> None:
    check_refused(capsys, sharded, change, message)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_into_a_cache_are_followed(theirs: Path, name: str) -> None:
    """What a download of the Hub's client looks like: each file is a link to a blob."""
    (theirs / name).rename(theirs.parent / "blob")
    (theirs / name).symlink_to("../blob")
    taken(theirs)
