"""There and back, in both directions, bit for bit."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Model

from mediswift_cs.checkpoints import command_line
from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import load_checkpoint, load_model_state

from ..small_gpt2 import small_gpt2
from .small_checkpoints import (
    SECTION,
    UNVERIFIED,
    bits_equal,
    build_decoder,
    load_model,
    save,
    state_of,
)


def same_state(one: Path, other: Path) -> bool:
    first, second = load_model(one), load_model(other)
    assert first.keys() == second.keys()
    return all(bits_equal(first[key], second[key]) for key in first)


def test_mdl_and_back(sparse: Path, tmp_path: Path) -> None:
    minus_zeros = [v for v in load_model(sparse).values() if v.is_floating_point()]
    assert any(bool(((v == 0) & v.signbit()).any()) for v in minus_zeros), "zeros of both signs"
    convert(sparse, tmp_path / "export", replace(UNVERIFIED, keep_masks=True))
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    assert same_state(sparse, tmp_path / "back.mdl")
    state = load_checkpoint(tmp_path / "back.mdl", read=mdl_state.read)
    assert state["global_step"] == 0
    assert "optimizer" not in state
    assert state["__metadata__"][-1]["params"]["trainer"]["init"]["model"] == SECTION
    convert(tmp_path / "back.mdl", tmp_path / "again", replace(UNVERIFIED, keep_masks=True))
    for name in ("model.safetensors", "sparsity_masks.safetensors"):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (tmp_path / "export" / name).read_bytes()


def test_masks_are_lost_unless_kept(sparse: Path, tmp_path: Path) -> None:
    """Control of the above."""
    convert(sparse, tmp_path / "export", UNVERIFIED)
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    assert not any(key.endswith("_mask") for key in load_model(tmp_path / "back.mdl"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_untied_in_each_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    state = state_of(build_decoder(share_embedding_weights=False))
    state = {key: value.to(dtype) for key, value in state.items()}
    source = save(tmp_path / "a.mdl", state, {"share_embedding_weights": False})
    convert(source, tmp_path / "export", UNVERIFIED)
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    assert same_state(source, tmp_path / "back.mdl")


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_foreign_model_and_back(tmp_path: Path, tied: bool) -> None:
    """Another vocabulary and length, n_inner left out: our model computes the same."""
    model = small_gpt2(tie_word_embeddings=tied)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").exists()
    convert(tmp_path / "theirs", tmp_path / "a.mdl", UNVERIFIED)
    path = tmp_path / "a.mdl"
    state = load_checkpoint(path, read=mdl_state.read)
    section = state["__metadata__"][-1]["params"]["trainer"]["init"]["model"]
    ours = MediSwiftModel(ModelParams(**{**section, "name": "mediswift"})).eval()
    load_model_state(ours, state["model"], path)
    ids = torch.randint(0, 211, (2, 40))
    logits = model(ids).logits
    assert float((ours.model(ids) - logits).abs().max()) < 1e-5
    ours.model.lm_head.weight.mul_(1.1)
    assert float((ours.model(ids) - logits).abs().max()) > 1e-3
    convert(path, tmp_path / "back", UNVERIFIED)
    found = load_file(tmp_path / "back" / "model.safetensors")
    expected = model.state_dict()
    assert found.keys() == expected.keys() - ({"lm_head.weight"} if tied else set())
    assert all(bits_equal(found[key], expected[key]) for key in found)


def test_headless_files_with_old_buffers(tmp_path: Path) -> None:
    """The layout of GPT-2's first files: no prefix, no head, causal masks among the weights."""
    model = small_gpt2()
    inner: GPT2Model = model.transformer
    tensors = {key: value.contiguous() for key, value in inner.state_dict().items()}
    for index in range(3):
        tensors[f"h.{index}.attn.bias"] = torch.ones(1, 1, 40, 40)
    (tmp_path / "old").mkdir()
    save_file(tensors, tmp_path / "old" / "model.safetensors")
    model.config.save_pretrained(tmp_path / "old")
    convert(tmp_path / "old", tmp_path / "a.mdl", UNVERIFIED)
    words = load_model(tmp_path / "a.mdl")["model.lm_head.weight"]
    assert bits_equal(words, inner.wte.weight.detach())


def test_gelu_new_is_kept_and_said(tmp_path: Path) -> None:
    small_gpt2(activation_function="gelu_new").save_pretrained(tmp_path / "theirs")
    result = convert(tmp_path / "theirs", tmp_path / "a.mdl", UNVERIFIED)
    assert any("trained with gelu_new" in message for message in result.messages)
    convert(tmp_path / "a.mdl", tmp_path / "back", UNVERIFIED)
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["activation_function"] == "gelu_new"


def test_left_over_tensors_are_refused(tmp_path: Path) -> None:
    small_gpt2().save_pretrained(tmp_path / "theirs")
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "transformer.h.0.extra": torch.ones(2)}, file)
    with pytest.raises(CheckpointError, match=r"1 tensors of .* first: transformer.h.0.extra"):
        convert(tmp_path / "theirs", tmp_path / "a.mdl", UNVERIFIED)
    del tensors["transformer.h.2.ln_1.bias"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"no tensor transformer.h.2.ln_1.bias"):
        convert(tmp_path / "theirs", tmp_path / "a.mdl", UNVERIFIED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_embd", None, "n_embd in .*config.json: got None, allowed: a whole number"),
        ("mediswift_cs", {"model": None}, r"mediswift_cs\.model in .*: got None, allowed: a map"),
        ("mediswift_cs", {"soft_prompt": {"length": 3}}, "got .*length.*, allowed: .*num_virtual"),
        ("mediswift_cs", {"soft_prompt": [3]}, "soft_prompt in .*got .3., allowed: a mapping"),
        (
            "mediswift_cs",
            {"soft_prompt": {"num_virtual_tokens": "x", "position": "infix"}},
            "num_virtual_tokens of .*: got 'x', allowed: a whole number",
        ),
        (
            "mediswift_cs",
            {"soft_prompt": {"num_virtual_tokens": 3, "position": "suffix"}},
            "position of .*: got 'suffix', allowed: prefix, infix",
        ),
    ],
)
def test_damaged_config_is_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    key: str,
    value: object,
    message: str,
) -> None:
    folder = tmp_path / "theirs"
    small_gpt2().save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    # Transformers 5 shows its progress.
    capsys.readouterr()
    assert command_line.main([str(folder), str(tmp_path / "a.mdl"), "--no-tokenizer"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_deeply_nested_config_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 5000)
    with pytest.raises(CheckpointError, match="not JSON, line 1: it is nested too deeply"):
        convert(tmp_path, tmp_path / "a.mdl", UNVERIFIED)


def test_pickled_weights_and_paths_outside_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    small_gpt2().save_pretrained(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="is a pickle"):
        convert(folder, tmp_path / "a.mdl", UNVERIFIED)
    index = {"weight_map": {"transformer.wte.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside its folder"):
        convert(folder, tmp_path / "a.mdl", UNVERIFIED)


def test_numbers_too_large_for_float16_are_refused_on_the_way_back_too(tmp_path: Path) -> None:
    model = small_gpt2()
    with torch.no_grad():
        model.transformer.ln_f.bias[3] = 70000.0
    model.save_pretrained(tmp_path / "theirs")
    options = replace(UNVERIFIED, dtype="float16")
    with pytest.raises(CheckpointError, match=r"norm\.bias.*too large for float16, got 70000"):
        convert(tmp_path / "theirs", tmp_path / "a.mdl", options)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize("damage", ["trailing", "overlap", "gap", "header"])
def test_malformed_weights_are_one_sentence(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "theirs"
    small_gpt2().save_pretrained(folder)
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, numbers = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    first, second = sorted(
        (entry for name, entry in header.items() if name != "__metadata__"),
        key=lambda entry: entry["data_offsets"],
    )[:2]
    if damage == "overlap":
        second["data_offsets"] = [place - 4 for place in second["data_offsets"]]
    elif damage == "gap":
        first["data_offsets"] = [place + 4 for place in first["data_offsets"]]
    text = json.dumps(header).encode() if damage != "header" else b"[" * 5000
    tail = b"x" if damage == "trailing" else b""
    file.write_bytes(len(text).to_bytes(8, "little") + text + numbers + tail)
    with pytest.raises(CheckpointError, match="not a complete safetensors file") as caught:
        convert(folder, tmp_path / "a.mdl", UNVERIFIED)
    assert "\n" not in str(caught.value)
