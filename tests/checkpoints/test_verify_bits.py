"""The proof that needs no torch: the same numbers, and a changed one is noticed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.hf_folder import read_huggingface
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.verify_bits import different_tensor, verify_bits

from .small_checkpoints import (
    SECTION,
    UNVERIFIED,
    build_decoder,
    save,
    state_of,
)

FILE = "model.safetensors"


def different(mdl: Path, folder: Path, dtype: str = "float32") -> str | None:
    return different_tensor(read_checkpoint(mdl), read_huggingface(folder), dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("keep_masks", [True, False])
def test_an_export_has_the_same_numbers(
    sparse: Path, tmp_path: Path, dtype: str, keep_masks: bool
) -> None:
    convert(sparse, tmp_path / "hf", replace(UNVERIFIED, dtype=dtype, keep_masks=keep_masks))
    assert different(sparse, tmp_path / "hf", dtype) is None
    if dtype != "float32":
        assert different(sparse, tmp_path / "hf", "float32") is not None, "control: rounding shows"


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_an_import_has_the_same_numbers(dense: Path, tmp_path: Path, dtype: str | None) -> None:
    convert(dense, tmp_path / "hf", UNVERIFIED)
    convert(tmp_path / "hf", tmp_path / "back.mdl", replace(UNVERIFIED, dtype=dtype))
    assert different(tmp_path / "back.mdl", tmp_path / "hf", dtype or "float32") is None


def test_scaled_queries(tmp_path: Path) -> None:
    section = {**SECTION, "attention_type": "dot_product"}
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), section)
    convert(source, tmp_path / "hf", UNVERIFIED)
    assert different(source, tmp_path / "hf") is None
    plain = save(tmp_path / "b.mdl", state_of(build_decoder()))
    found = different(plain, tmp_path / "hf")
    assert found == "transformer_decoder.layers.0.self_attn.proj_q_dense_layer.weight", "control"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("transformer.wte.weight", "embedding_layer.word_embeddings.weight"),
        ("transformer.h.1.attn.c_attn.bias", "self_attn.proj_"),
        ("transformer.h.0.mlp.c_proj.weight", "ffn.ffn.1.linear_layer.weight"),
        ("transformer.ln_f.bias", "transformer_decoder.norm.bias"),
    ],
)
def test_one_changed_number_is_noticed(dense: Path, tmp_path: Path, name: str, found: str) -> None:
    convert(dense, tmp_path / "hf", UNVERIFIED)
    tensors = load_file(tmp_path / "hf" / FILE)
    flat = tensors[name].view(-1)
    flat[-1] = flat[-1].nextafter(flat[-1] + 1)
    save_file(tensors, tmp_path / "hf" / FILE, {"format": "pt"})
    assert found in str(different(dense, tmp_path / "hf"))
    passed, line = verify_bits(
        read_checkpoint(dense), read_huggingface(tmp_path / "hf"), "float32", None
    )
    assert not passed
    assert "NOT THE SAME" in line


def test_swapped_matrices_are_noticed(dense: Path, tmp_path: Path) -> None:
    convert(dense, tmp_path / "hf", UNVERIFIED)
    tensors = load_file(tmp_path / "hf" / FILE)
    first, second = (f"transformer.h.{layer}.mlp.c_fc.weight" for layer in (0, 1))
    tensors[first], tensors[second] = tensors[second], tensors[first]
    save_file(tensors, tmp_path / "hf" / FILE, {"format": "pt"})
    assert different(dense, tmp_path / "hf") is not None


@pytest.mark.parametrize(
    ("position", "peft_adapter"), [("prefix", False), ("prefix", True), ("infix", False)]
)
def test_soft_prompts(tmp_path: Path, position: str, peft_adapter: bool) -> None:
    prompt = {"num_virtual_tokens": 3, "position": position}
    section: dict[str, Any] = {**SECTION, "name": "mediswift_finetuning", "soft_prompt": prompt}
    state = state_of(build_decoder())
    state["model.soft_prompt.weight"] = build_decoder().lm_head.weight.detach()[:3] + 0
    source = save(tmp_path / "a.mdl", state, section, soft_prompt=prompt)
    convert(source, tmp_path / "hf", replace(UNVERIFIED, peft_adapter=peft_adapter))
    assert different(source, tmp_path / "hf") is None
    state["model.soft_prompt.weight"] = state["model.soft_prompt.weight"] + 1
    other = save(tmp_path / "b.mdl", state, section, soft_prompt=prompt)
    assert different(other, tmp_path / "hf") == "soft_prompt.weight", "control"
    assert json.loads((tmp_path / "hf/config.json").read_text())
