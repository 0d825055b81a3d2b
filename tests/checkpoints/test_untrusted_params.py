"""Checkpoints whose params or numbers are none that can be exported: one sentence, exit code 2."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mediswift_cs.checkpoints import command_line

from .refusals import refused
from .small_checkpoints import SECTION, add_masks, build_decoder, save, state_of


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"initializer_range": float("nan")},
            "initializer_range in .*: got nan, allowed: a finite",
        ),
        ({"note": float("inf")}, "note in .*: got inf, allowed: a finite number"),
        ({"deep": {"list": [1, float("nan")]}}, r"deep\.list\.1 in .*: got nan"),
        ({"num_heads": np.int64(4)}, "num_heads in .*: got a .*, allowed: text in quotes, a num"),
        ({"path": Path("/x")}, "path in .*: got a .*, allowed: text in quotes"),
        ({"num_heads": "four"}, "num_heads in .*: got 'four', allowed: a whole number"),
        ({"num_heads": 4.0}, "num_heads in .*: got 4.0"),
        ({"num_heads": 0}, "num_heads in .*: got 0"),
        ({"num_heads": True}, "num_heads in .*: got True"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon in .*: got 0.0"),
        ({"dropout_rate": 1.5}, "dropout_rate in .*: got 1.5"),
        ({"share_embedding_weights": 1}, "share_embedding_weights in .*: got 1"),
        ({"attention_type": "cosine"}, "attention_type in .*: got 'cosine'"),
        ({"position_embedding_type": "rotary"}, "position_embedding_type 'rotary'"),
        ({"rotary_dim": 8}, "rotary_dim 8"),
        ({"alibi_trainable_slopes": True}, "alibi_trainable_slopes True"),
        ({"use_alibi": True}, "use_alibi True"),
    ],
)
def test_params_of_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: dict[str, Any], message: str
) -> None:
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), section)
    line = refused(capsys, source, tmp_path / "export")
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("keys", "value"),
    [("fit", "x"), ("fit.train_dataloader", [1]), ("init.loop", 5), ("init.callbacks", "x")],
)
def test_sections_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: str, value: object
) -> None:
    params: dict[str, Any] = {"trainer": {"init": {"model": SECTION}}}
    section = params["trainer"]
    *outer, last = keys.split(".")
    for key in outer:
        section = section.setdefault(key, {})
    section[last] = value
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), params=params)
    line = refused(capsys, source, tmp_path / "export")
    assert f"trainer.{keys} in the params of {source}: got {value!r}, allowed: a " in line


@pytest.mark.parametrize("text", [".nan", "2020-01-01", "{1: 2}"])
def test_params_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    params = tmp_path / "params.yaml"
    params.write_text(f"trainer: {{init: {{model: {{num_heads: 4, odd: {text}}}}}}}")
    line = refused(capsys, source, tmp_path / "export", "--params", str(params))
    assert "odd" in line
    assert "params.yaml" in line


@pytest.mark.parametrize("dtype", [torch.int32, torch.float64, torch.bool])
def test_numbers_that_are_no_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: torch.dtype
) -> None:
    state = {key: value.to(dtype) for key, value in state_of(build_decoder()).items()}
    source = save(tmp_path / "a.mdl", state)
    line = refused(capsys, source, tmp_path / "export")
    assert f"has dtype {str(dtype).removeprefix('torch.')}, allowed: float32" in line


def test_a_layer_of_an_endless_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = state_of(build_decoder())
    state[f"model.transformer_decoder.layers.{'9' * 5000}.norm1.weight"] = torch.ones(32)
    line = refused(capsys, save(tmp_path / "a.mdl", state), tmp_path / "export")
    assert "no rule" in line


def test_masks_are_no_other_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = state_of(build_decoder())
    add_masks(state, fold=True)
    source = save(tmp_path / "a.mdl", state)
    argv = [str(source), str(tmp_path / "export"), "--no-tokenizer", "--no-verify", "--keep-masks"]
    assert command_line.main(argv) == 0
    capsys.readouterr()
    masks = tmp_path / "export" / "sparsity_masks.safetensors"
    save_file({k: v.float() for k, v in load_file(masks).items()}, masks)
    assert "fits no weight" in refused(capsys, tmp_path / "export", tmp_path / "back.mdl")
