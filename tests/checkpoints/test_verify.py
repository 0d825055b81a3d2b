"""The proof itself: it passes for the same model, and for no other."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from mediswift_cs import tuning
from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.hf_folder import read_huggingface
from mediswift_cs.checkpoints.sample_text import sample_ids
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.verify import verify, verify_files
from mediswift_cs.errors import CheckpointError

from .small_checkpoints import UNVERIFIED

IDS = list(range(7, 120))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_whole_and_streamed_agree(sparse: Path, tmp_path: Path, dtype: str) -> None:
    convert(sparse, tmp_path / "export", replace(UNVERIFIED, dtype=dtype))
    folder, checkpoint = read_huggingface(tmp_path / "export"), read_checkpoint(sparse)
    for is_streamed in (False, True):
        result = verify(checkpoint, folder, IDS, dtype=dtype, is_streamed=is_streamed)
        assert result.passed, result
        assert result.max_difference < 1e-5
        assert result.largest_logit > 1
        assert result.num_positions == len(IDS)
    if dtype != "float32":
        unrounded = verify(checkpoint, folder, IDS, dtype="float32")
        assert not unrounded.passed, "control: rounding shows"


@pytest.mark.parametrize("is_short", [True, False])
def test_where_a_container_leaves_little_memory_the_model_is_not_loaded_whole(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    convert(sparse, tmp_path / "export", UNVERIFIED)
    folder, checkpoint = read_huggingface(tmp_path / "export"), read_checkpoint(sparse)
    needed = 8 * checkpoint.architecture.num_parameters
    monkeypatch.setattr(tuning, "_memory_limits", lambda *_: iter([(needed - is_short, 0)]))
    assert verify(checkpoint, folder, IDS, dtype="float32").is_streamed == is_short


@pytest.mark.parametrize(
    "name", ["transformer.h.1.mlp.c_fc.weight", "transformer.ln_f.bias", "transformer.wpe.weight"]
)
def test_one_changed_number_is_noticed(sparse: Path, tmp_path: Path, name: str) -> None:
    convert(sparse, tmp_path / "export", UNVERIFIED)
    file = tmp_path / "export" / "model.safetensors"
    tensors = load_file(file)
    tensors[name].view(-1)[5] += 0.05
    save_file(tensors, file, {"format": "pt"})
    folder, checkpoint = read_huggingface(tmp_path / "export"), read_checkpoint(sparse)
    for is_streamed in (False, True):
        result = verify(checkpoint, folder, IDS, dtype="float32", is_streamed=is_streamed)
        assert not result.passed
        assert "NOT THE SAME" in result.to_text()


def test_nan_never_passes(sparse: Path, tmp_path: Path) -> None:
    convert(sparse, tmp_path / "export", UNVERIFIED)
    file = tmp_path / "export" / "model.safetensors"
    tensors = load_file(file)
    tensors["transformer.ln_f.bias"][0] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    passed, _ = verify_files(sparse, tmp_path / "export", "float32", None, None)
    assert passed is False


def test_text(tmp_path: Path, tokenizer_file: Path) -> None:
    ids = sample_ids(tokenizer_file.parent, 320, None)
    assert len(ids) > 100
    assert len(set(ids)) > 30
    text = tmp_path / "text.txt"
    text.write_text("Serum creatinine")
    assert len(sample_ids(tokenizer_file.parent, 320, text)) < 20
    text.write_text("")
    with pytest.raises(CheckpointError, match="is empty"):
        sample_ids(tokenizer_file.parent, 320, text)
    without = sample_ids(tmp_path, 320, None)
    assert max(without) < 320
    assert len(set(without)) > 50


def test_a_text_without_a_tokenizer_is_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"--verify-text: got text, allowed: nothing, as .* has"
    ):
        sample_ids(tmp_path, 300, Path("text"))
