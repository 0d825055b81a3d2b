"""Attention that is scaled in another way than GPT-2's: folded into the queries, both ways."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from mediswift_cs.checkpoints import architecture as shapes
from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.hf_folder import read_huggingface
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.verify import verify
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import load_checkpoint, load_model_state

from ..small_gpt2 import small_gpt2
from .small_checkpoints import SECTION, UNVERIFIED, build_decoder, save, state_of

IDS = torch.arange(7, 60)[None]
# Three layers: the factors of the first two are exact whatever they are.
BIOMEDLM = {
    "scale_attn_by_inverse_layer_idx": True,
    "reorder_and_upcast_attn": True,
    "n_ctx": 96,
    "n_inner": None,
    "gradient_checkpointing": False,
}


def our_logits(path: Path) -> Tensor:
    """Of the decoder as training loads it, by the params in the checkpoint."""
    state = load_checkpoint(path, read=mdl_state.read)
    section = state["__metadata__"][-1]["params"]["trainer"]["init"]["model"]
    model = MediSwiftModel(ModelParams(**{**section, "name": "mediswift"})).eval()
    load_model_state(model, state["model"], path)
    logits: Tensor = model.model(IDS)
    return logits


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(BIOMEDLM, id="BioMedLM"),
        pytest.param({"scale_attn_weights": False}, id="unscaled"),
        pytest.param({**BIOMEDLM, "scale_attn_weights": False}, id="both"),
    ],
)
def test_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    theirs = small_gpt2(noise=0.2, n_positions=96, **changes)
    theirs.save_pretrained(tmp_path / "theirs")
    expected = theirs(IDS).logits
    result = convert(tmp_path / "theirs", tmp_path / "a.mdl", replace(UNVERIFIED, verify=True))
    assert result.is_verified
    assert float((our_logits(tmp_path / "a.mdl") - expected).abs().max()) < 1e-4
    checkpoint, folder = read_checkpoint(tmp_path / "a.mdl"), read_huggingface(tmp_path / "theirs")
    for is_streamed in (False, True):
        ids = IDS[0].tolist()
        assert verify(checkpoint, folder, ids, dtype="float32", is_streamed=is_streamed).passed
    monkeypatch.setattr(shapes.Architecture, "query_factor", lambda *_: 1.0)
    convert(tmp_path / "theirs", tmp_path / "control.mdl", UNVERIFIED)
    assert float((our_logits(tmp_path / "control.mdl") - expected).abs().max()) > 0.1


def reference(model: DecoderLanguageModel, *, is_scaled: bool, by_layer: bool) -> Tensor:
    """ModelZoo's attention written out: q k / (sqrt(d) or 1) / (layer + 1 or 1)."""
    width = model.config.hidden_size // model.config.num_heads
    with torch.no_grad():
        for index, layer in enumerate(model.transformer_decoder.layers):
            factor = (1.0 if is_scaled else width**0.5) / (index + 1 if by_layer else 1)
            # Ours divides the product by sqrt(d); here the keys make up for it, not the queries.
            layer.self_attn.proj_k_dense_layer.weight.mul_(factor)
            layer.self_attn.proj_k_dense_layer.bias.mul_(factor)
        logits: Tensor = model(IDS)
    return logits


@torch.no_grad()
@pytest.mark.parametrize(("is_scaled", "by_layer"), [(False, False), (True, True), (False, True)])
def test_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_scaled: bool, by_layer: bool
) -> None:
    section = {
        "num_hidden_layers": 3,
        "attention_type": "scaled_dot_product" if is_scaled else "dot_product",
        "scale_qk_dot_by_layer_idx": by_layer,
    }
    model = build_decoder(num_hidden_layers=3)
    source = save(tmp_path / "a.mdl", state_of(model), section)
    expected = reference(model, is_scaled=is_scaled, by_layer=by_layer)

    def difference(folder: Path) -> float:
        # As users load it, by transformers' default attention.
        theirs = AutoModelForCausalLM.from_pretrained(folder)(IDS).logits
        return float((theirs - expected).abs().max())

    result = convert(source, tmp_path / "export", replace(UNVERIFIED, verify=True))
    assert result.is_verified
    assert difference(tmp_path / "export") < 1e-3
    convert(tmp_path / "export", tmp_path / "back.mdl", replace(UNVERIFIED, verify=True))
    assert float((our_logits(tmp_path / "back.mdl") - expected).abs().max()) < 1e-3
    monkeypatch.setattr(shapes.Architecture, "query_factor", lambda *_: 1.0)
    convert(source, tmp_path / "control", UNVERIFIED)
    assert difference(tmp_path / "control") > 0.1


def test_numbers_are_rounded_once(tmp_path: Path) -> None:
    """sqrt(8) is no power of two: rounded in float32 and again in bfloat16 it would be off."""
    state = {key: value.bfloat16() for key, value in state_of(build_decoder()).items()}
    source = save(tmp_path / "a.mdl", state, {"attention_type": "dot_product"})
    convert(source, tmp_path / "export", UNVERIFIED)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "export", dtype=torch.bfloat16)
    width = SECTION["hidden_size"]
    for index in range(2):
        name = f"model.transformer_decoder.layers.{index}.self_attn.proj_q_dense_layer.weight"
        expected = (state[name].float() * 8**0.5).bfloat16()
        found = theirs.transformer.h[index].attn.c_attn.weight[:, :width].T
        assert torch.equal(found, expected)
        assert not torch.equal(found, state[name]), "control"
