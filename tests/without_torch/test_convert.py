"""Conversion and inspection where torch is not installed: bits are verified, logits are not."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

HIDDEN, HEADS, LAYERS, POSITIONS, VOCAB = 8, 2, 2, 16, 24

# Run in a process of its own, so that it also holds where torch is installed.
BLOCKED = """
import sys
for name in ("torch", "cerebras", "transformers", "peft"):
    sys.modules[name] = None
from mediswift_cs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def gpt2_folder(folder: Path) -> Path:
    """A small GPT-2 of random weights, as transformers saves one."""
    generator = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        return generator.standard_normal(shape).astype(np.float32)

    weights = {"wte.weight": random(VOCAB, HIDDEN), "wpe.weight": random(POSITIONS, HIDDEN)}
    for layer in range(LAYERS):
        for name, shape in {
            "attn.c_attn": (HIDDEN, 3 * HIDDEN),
            "attn.c_proj": (HIDDEN, HIDDEN),
            "mlp.c_fc": (HIDDEN, 4 * HIDDEN),
            "mlp.c_proj": (4 * HIDDEN, HIDDEN),
        }.items():
            weights[f"h.{layer}.{name}.weight"] = random(*shape)
            weights[f"h.{layer}.{name}.bias"] = random(shape[1])
        for name in ("ln_1", "ln_2"):
            weights[f"h.{layer}.{name}.weight"] = random(HIDDEN)
            weights[f"h.{layer}.{name}.bias"] = random(HIDDEN)
    weights |= {"ln_f.weight": random(HIDDEN), "ln_f.bias": random(HIDDEN)}
    folder.mkdir()
    named = {f"transformer.{name}": value for name, value in weights.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        **{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": VOCAB},
        **{"n_positions": POSITIONS, "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS},
        **{"activation_function": "gelu", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True},
        **{"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "initializer_range": 0.02},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def mediswift(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def round_trip(tmp_path: Path) -> tuple[Path, Path, str]:
    """A folder, what became of it over .mdl, and everything that was said."""
    source = gpt2_folder(tmp_path / "source")
    there = mediswift("convert", source, tmp_path / "model.mdl", "--no-tokenizer")
    assert there.returncode == 0, there.stderr
    back = mediswift("convert", tmp_path / "model.mdl", tmp_path / "back", "--no-tokenizer")
    assert back.returncode == 0, back.stderr
    return source, tmp_path / "back", there.stdout + back.stdout + there.stderr + back.stderr


def test_there_and_back_without_torch_is_bit_for_bit(round_trip: tuple[Path, Path, str]) -> None:
    source, back, said = round_trip
    first, second = (load_file(folder / "model.safetensors") for folder in (source, back))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert said.count("logits were not compared without torch") == 2
    assert said.count("verified: the same numbers, bit for bit") == 2
    # Control: the same check sees one changed bit.
    name = next(iter(second))
    second[name].reshape(-1).view(np.uint32)[0] ^= 1
    assert not np.array_equal(first[name], second[name])


def test_inspect_without_torch(round_trip: tuple[Path, Path, str]) -> None:
    _, back, _ = round_trip
    shown = mediswift("inspect", back.with_name("model.mdl"))
    assert shown.returncode == 0, shown.stderr
    assert "9,152 bytes" in shown.stdout


def test_a_command_that_needs_torch_says_so(tmp_path: Path) -> None:
    ended = mediswift("evaluate", "--data", tmp_path, "--checkpoint", tmp_path / "a.mdl")
    assert ended.returncode == 2
    assert re.match(
        r"error: this command needs the package torch, .*: pip install '?torch", ended.stderr
    )
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["--version", "doctor --json", "params list", "flops"])
def test_commands_that_need_no_torch(command: str) -> None:
    ended = mediswift(*command.split())
    # What doctor finds wrong depends on the machine.
    assert ended.returncode in ((0, 1) if "doctor" in command else (0,)), ended.stderr
    assert ended.stdout


def test_logits_that_are_asked_for_need_torch(tmp_path: Path) -> None:
    source = gpt2_folder(tmp_path / "source")
    ended = mediswift("convert", source, tmp_path / "m.mdl", "--no-tokenizer", "--verify")
    assert ended.returncode == 2
    assert "--verify compares logits, which needs torch and transformers" in ended.stderr
    assert re.search(r": pip install '?torch.* '?transformers", ended.stderr)
    assert not (tmp_path / "m.mdl").exists()
