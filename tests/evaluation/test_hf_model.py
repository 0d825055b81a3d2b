"""A folder of transformers as a model of ours, without a file in between."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from mediswift_cs.checkpoints import blocks
from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.checkpoints.hf_folder import read_huggingface
from mediswift_cs.errors import CheckpointError
from mediswift_cs.evaluation.hf_model import load_hf_model
from mediswift_cs.evaluation.loading import load_model

from ..small_gpt2 import small_gpt2
from .models_to_ask import save_model


def their_model(folder: Path, **changes: Any) -> GPT2LMHeadModel:
    model = small_gpt2(noise=0.2, **changes)
    model.save_pretrained(folder)
    return model


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": False}, {"scale_attn_by_inverse_layer_idx": True}],
    ids=["tied", "untied", "scaled by layer"],
)
def test_it_computes_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    expected = their_model(tmp_path, **changes)(ids := torch.randint(0, 211, (2, 40))).logits
    ours = load_hf_model(read_huggingface(tmp_path)).model
    assert float((ours.model(ids) - expected).abs().max()) < 1e-4
    ours.model.ln_f.weight.mul_(1.1)
    assert float((ours.model(ids) - expected).abs().max()) > 1e-2, "control"


@torch.no_grad()
@pytest.mark.parametrize("position", ["infix", "prefix", None])
def test_an_export_is_the_model_that_it_was_made_of(
    tmp_path: Path, toy_tokenizer: Path, position: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = {"num_virtual_tokens": 3, "position": position} if position else None
    path = save_model(tmp_path / "a.mdl", toy_tokenizer, None, soft_prompt=prompt)
    folder = tmp_path / "export"
    convert(path, folder, ConvertOptions(verify=False, tokenizer=toy_tokenizer))
    # A matrix comes in several blocks.
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 12)
    found, expected = load_hf_model(read_huggingface(folder)), load_model(path)
    assert (found.path, found.tokenizer_sha256) == (folder, expected.tokenizer_sha256)
    assert expected.tokenizer_sha256 is not None
    assert not found.model.training
    ours, theirs = (loaded.model.config.soft_prompt for loaded in (found, expected))
    if position is None:
        assert ours is theirs is None
    else:
        assert ours is not None
        assert (ours.num_virtual_tokens, ours.position) == (3, position)
    # The ids after the vocabulary are those of the soft prompt.
    ids = torch.arange(expected.model.config.vocab_size + 3 * bool(prompt))[-40:][None]
    torch.testing.assert_close(found.model.model(ids), expected.model.model(ids))


def test_half_precision_is_widened(tmp_path: Path) -> None:
    model = their_model(tmp_path).half()
    model.save_pretrained(tmp_path)
    ours = load_hf_model(read_huggingface(tmp_path)).model
    words = ours.model.embedding_layer.word_embeddings.weight
    assert words.dtype == torch.float32
    assert torch.equal(words, model.transformer.wte.weight.float())


def test_another_activation_is_refused(tmp_path: Path) -> None:
    their_model(tmp_path, activation_function="gelu_new")
    with pytest.raises(CheckpointError, match=r"nonlinearity of the model in .*: got 'gelu_new'"):
        load_hf_model(read_huggingface(tmp_path))


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    their_model(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["transformer.h.1.ln_1.bias"][3] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"norm1\.bias in .* holds NaN"):
        load_hf_model(read_huggingface(tmp_path))
