"""From .mdl to a folder that transformers loads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.load import load_params
from mediswift_cs.params.training_cost import num_training_tokens

from .small_checkpoints import (
    SECTION,
    UNVERIFIED,
    VOCAB_SIZE,
    add_masks,
    bits_equal,
    build_decoder,
    is_sparse_weight,
    load_model,
    save,
    state_of,
)

IDS = torch.randint(0, VOCAB_SIZE, (2, 50), generator=torch.Generator().manual_seed(1))


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()


@torch.no_grad()
def difference(folder: Path, **decoder: Any) -> float:
    return float((load(folder)(IDS).logits - build_decoder(**decoder)(IDS)).abs().max())


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_gives_our_logits(tmp_path: Path, tied: bool) -> None:
    state = state_of(build_decoder(share_embedding_weights=tied))
    source = save(tmp_path / "a.mdl", state, {"share_embedding_weights": tied})
    convert(source, tmp_path / "export", UNVERIFIED)
    assert difference(tmp_path / "export", share_embedding_weights=tied) < 1e-5
    # Control: query and key exchanged in one layer is another model.
    prefix = "model.transformer_decoder.layers.1.self_attn.proj_"
    query, key = (f"{prefix}{name}_dense_layer.weight" for name in "qk")
    state[query], state[key] = state[key], state[query]
    broken = save(tmp_path / "b.mdl", state, {"share_embedding_weights": tied})
    convert(broken, tmp_path / "broken", UNVERIFIED)
    assert difference(tmp_path / "broken", share_embedding_weights=tied) > 1e-2


@torch.no_grad()
def test_model_without_biases(tmp_path: Path) -> None:
    flags = {"use_projection_bias_in_attention": False, "use_ffn_bias": False}
    source = save(tmp_path / "a.mdl", state_of(build_decoder(**flags)), flags)
    convert(source, tmp_path / "export", UNVERIFIED)
    assert difference(tmp_path / "export", **flags) < 1e-5
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    assert load_model(tmp_path / "back.mdl").keys() == load_model(source).keys()


@torch.no_grad()
def test_masks_are_applied_before_the_first_step(tmp_path: Path) -> None:
    """A step-0 checkpoint keeps its weights beside masks that were not applied yet."""
    state = state_of(build_decoder())
    add_masks(state, fold=False)
    result = convert(save(tmp_path / "a.mdl", state), tmp_path / "export", UNVERIFIED)
    folded = state_of(build_decoder())
    add_masks(folded, fold=True)
    model = build_decoder()
    weights = {k.removeprefix("model."): v for k, v in folded.items() if not k.endswith("_mask")}
    model.load_state_dict(weights)
    logits = load(tmp_path / "export")(IDS).logits
    assert float((logits - model(IDS)).abs().max()) < 1e-5
    # Control: without the masks it would be the dense model.
    assert float((logits - build_decoder()(IDS)).abs().max()) > 1e-2
    num_zeros = sum(int((~v).sum()) for k, v in state.items() if k.endswith("_mask"))
    num_weights = sum(v.numel() for k, v in state.items() if k.endswith("_mask"))
    assert result.sparsity is not None
    assert (result.sparsity.num_zeros, result.sparsity.num_weights) == (num_zeros, num_weights)
    assert f"turned {num_zeros:,} weights into zeros" in result.messages[0]
    exported = load_file(tmp_path / "export" / "model.safetensors")
    linear = [v for k, v in exported.items() if v.dim() == 2 and ".h." in k]
    assert sum(int((v == 0).sum()) for v in linear) == num_zeros


def test_sparsity_is_told_by_layer(sparse: Path, tmp_path: Path) -> None:
    result = convert(sparse, tmp_path / "export", UNVERIFIED)
    state = load_model(sparse)
    assert result.sparsity is not None
    row = result.sparsity.rows()[1]
    query = state["model.transformer_decoder.layers.1.self_attn.proj_q_dense_layer.weight"]
    contract = state["model.transformer_decoder.layers.1.ffn.ffn.1.linear_layer.weight"]
    assert row[1] == f"{float((query == 0).float().mean()):.4f}"
    assert row[6] == f"{float((contract == 0).float().mean()):.4f}"
    assert row[1] != row[6], "random masks of two shapes: a mixed-up column would show"
    card = (tmp_path / "export" / "README.md").read_text()
    assert "| " + " | ".join(row) + " |" in card
    assert "must not be used for diagnosis" in card
    assert "Nothing was evaluated" in card


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("CPU", "819,200 (steps x 4 batches a step x batch size 4 x length 128, padding"),
        ("CSX", "204,800 (steps x batch size 4 x length 128, padding"),
    ],
)
def test_tokens_of_the_model_card_are_those_of_the_run(
    tmp_path: Path, device: str, text: str
) -> None:
    raw = {
        "trainer.init.loop.max_steps": "400",
        "trainer.init.loop.grad_accum_steps": "4",
        "trainer.init.backend.backend_type": device,
        "trainer.fit.train_dataloader.batch_size": "4",
        "trainer.fit.train_dataloader.max_sequence_length": "128",
    }
    overrides = [f"{key}={value}" for key, value in raw.items()]
    loaded = load_params("mediswift_tiny_dense", overrides, check_data="none")
    assert f"{num_training_tokens(loaded.params):,}" == text.split()[0]
    loaded.raw["trainer"]["init"]["model"] = SECTION
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), params=loaded.raw)
    convert(source, tmp_path / "export", UNVERIFIED)
    assert f"- tokens: {text}" in (tmp_path / "export" / "README.md").read_text()


def test_kept_masks_are_the_masks(sparse: Path, tmp_path: Path) -> None:
    convert(sparse, tmp_path / "export", replace(UNVERIFIED, keep_masks=True))
    kept = load_file(tmp_path / "export" / "sparsity_masks.safetensors")
    state = load_model(sparse)
    masks = {k.removeprefix("model."): v for k, v in state.items() if k.endswith("_mask")}
    assert kept.keys() == masks.keys()
    assert all(torch.equal(kept[key], masks[key]) for key in masks)
    load(tmp_path / "export")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtype(sparse: Path, tmp_path: Path, dtype: str) -> None:
    convert(sparse, tmp_path / "export", replace(UNVERIFIED, dtype=dtype))
    convert(sparse, tmp_path / "exact", UNVERIFIED)
    rounded = load_file(tmp_path / "export" / "model.safetensors")
    exact = load_file(tmp_path / "exact" / "model.safetensors")
    for key, value in exact.items():
        assert bits_equal(rounded[key], value.to(getattr(torch, dtype))), key
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "export", dtype="auto")
    assert str(model.dtype) == f"torch.{dtype}"


def test_bfloat16_checkpoint_keeps_its_bits(tmp_path: Path) -> None:
    state = {key: value.bfloat16() for key, value in state_of(build_decoder()).items()}
    convert(save(tmp_path / "a.mdl", state), tmp_path / "export", UNVERIFIED)
    exported = load_file(tmp_path / "export" / "model.safetensors")
    words = state["model.embedding_layer.word_embeddings.weight"]
    assert bits_equal(exported["transformer.wte.weight"], words)


def test_float16_overflow_is_refused(tmp_path: Path) -> None:
    state = state_of(build_decoder())
    key = "transformer_decoder.layers.0.ffn.ffn.1.linear_layer.weight"
    state[f"model.{key}"][3, 4] = 70000.0
    source = save(tmp_path / "a.mdl", state)
    with pytest.raises(CheckpointError, match=f"{key}.*too large for float16, got 70000"):
        convert(source, tmp_path / "export", replace(UNVERIFIED, dtype="float16"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mdl"]


def test_nan_is_refused_or_reported(tmp_path: Path) -> None:
    state = state_of(build_decoder())
    key = "transformer_decoder.layers.1.ffn.ffn.0.linear_layer.weight"
    state[f"model.{key}"][3, 4] = float("nan")
    source = save(tmp_path / "a.mdl", state)
    with pytest.raises(CheckpointError, match=f"{key}.*NaN"):
        convert(source, tmp_path / "export", UNVERIFIED)
    result = convert(source, tmp_path / "export", replace(UNVERIFIED, allow_nan=True))
    assert any(f"1 NaN or infinite numbers, the first in {key}" in m for m in result.messages)


def test_shards(sparse: Path, tmp_path: Path) -> None:
    convert(sparse, tmp_path / "one", UNVERIFIED)
    convert(sparse, tmp_path / "many", replace(UNVERIFIED, max_shard_bytes=40_000))
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 2
    found = {k: v for name in files for k, v in load_file(tmp_path / "many" / name).items()}
    whole = load_file(tmp_path / "one" / "model.safetensors")
    assert found.keys() == whole.keys() == index["weight_map"].keys()
    assert all(bits_equal(found[key], whole[key]) for key in whole)
    assert index["metadata"]["total_size"] == sum(v.nbytes for v in whole.values())
    assert torch.equal(load(tmp_path / "many")(IDS).logits, load(tmp_path / "one")(IDS).logits)


@pytest.mark.parametrize("compressed", [True, False])
def test_storage_changes_no_bit(sparse: Path, tmp_path: Path, compressed: bool) -> None:
    """LZ4 chunks (cerebras-pytorch's) and plain datasets (ours)."""
    convert(sparse, tmp_path / "first", replace(UNVERIFIED, keep_masks=True))
    source = sparse
    if not compressed:
        source = tmp_path / "plain.mdl"
        convert(tmp_path / "first", source, UNVERIFIED)
    convert(source, tmp_path / "second", replace(UNVERIFIED, keep_masks=True))
    first = (tmp_path / "first" / "model.safetensors").read_bytes()
    assert (tmp_path / "second" / "model.safetensors").read_bytes() == first


def test_blocks_smaller_than_a_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large enough that HDF5 has several chunks in both directions of a matrix and its mask."""
    changes = {"hidden_size": 192, "filter_size": 1100, "num_hidden_layers": 1}
    state = state_of(build_decoder(**changes))
    add_masks(state, fold=False)
    source = save(tmp_path / "a.mdl", state, changes)
    monkeypatch.setattr("mediswift_cs.checkpoints.blocks.BLOCK_BYTES", 50_000)
    convert(source, tmp_path / "export", UNVERIFIED)
    exported = load_file(tmp_path / "export" / "model.safetensors")
    layer = "model.transformer_decoder.layers.0"

    def kept(name: str) -> Tensor:
        key = f"{layer}.{name}.weight"
        return torch.where(state[f"{key}_mask"], state[key], 0.0)

    joined = torch.cat([kept(f"self_attn.proj_{name}_dense_layer") for name in "qkv"]).T
    assert torch.equal(exported["transformer.h.0.attn.c_attn.weight"], joined)
    expand = kept("ffn.ffn.0.linear_layer").T
    assert torch.equal(exported["transformer.h.0.mlp.c_fc.weight"], expand)
    contract = kept("ffn.ffn.1.linear_layer").T
    assert torch.equal(exported["transformer.h.0.mlp.c_proj.weight"], contract)
    words = state["model.embedding_layer.word_embeddings.weight"]
    assert torch.equal(exported["transformer.wte.weight"], words)


def test_tokenizer_files(tmp_path: Path, tokenizer_file: Path, tokenizer_sha256: str) -> None:
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), tokenizer_sha256=tokenizer_sha256)
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tokenizer_file)
    convert(source, tmp_path / "export", options)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    text = "Serum creatinine, <|endoftext|> 40%"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.eos_token == "<|endoftext|>"
    # GPT-2 in transformers would add the embedding of token_type_ids to every word.
    assert set(tokenizer(text)) == {"input_ids", "attention_mask"}
    model = load(tmp_path / "export")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    other = save(tmp_path / "b.mdl", state_of(build_decoder()), tokenizer_sha256="0" * 64)
    with pytest.raises(CheckpointError, match=f"fingerprint {tokenizer_sha256}, allowed: 000"):
        convert(other, tmp_path / "refused", options)
    with pytest.raises(CheckpointError, match="give --tokenizer"):
        convert(source, tmp_path / "refused", replace(options, tokenizer=None))


def test_every_sparse_weight_was_covered() -> None:
    """What these tests mask is what the params files name."""
    names = {key.split(".", 4)[-1] for key in state_of(build_decoder()) if is_sparse_weight(key)}
    assert len(names) == 6
