"""ModelZoo's own commands, through our entry."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mediswift_cs.params.schema import ModelParams
from mediswift_cs.training import mdl_state

from .conftest import REPOSITORY, drive, run_own, run_python

ENTRY = ("-m", "mediswift_cs.modelzoo")


def test_help_has_an_example(tmp_path: Path) -> None:
    assert "cszoo model info mediswift" in run_python(*ENTRY, "--help", cwd=tmp_path).stdout


@pytest.mark.modelzoo
def test_commands_see_us(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path, cpu_backend: Any
) -> None:
    params = tmp_path / "toy.yaml"
    params.write_text(yaml.safe_dump(make_toy_raw()))
    run_own(make_toy_raw(), tmp_path / "run")
    checkpoint = tmp_path / "run/checkpoint_12.mdl"
    commands = [
        ["model", "info", "mediswift", "--json"],
        ["model", "describe", "mediswift_finetuning", "--json"],
        ["data_processor", "info", "MediSwiftPretrainingDataProcessor", "--json"],
        ["data_processor", "describe", "MediSwiftPromptDataProcessor", "--json"],
        ["config", "validate", str(params)],
        ["config", "stats", str(params)],
        [
            *("checkpoint", "convert", "--model", "mediswift", "--src-fmt", "cs-2.9"),
            *("--tgt-fmt", "hf", "--config", str(params), "--output-dir", str(tmp_path)),
            *("--export-safetensors", "--drop-unmatched-keys", str(checkpoint)),
        ],
    ]
    outputs = drive([{"cszoo": command} for command in commands], tmp_path)
    info, described, data, described_data = (json.loads(text) for text in outputs[:4])
    assert info["Name"] == "mediswift"
    assert "mediswift_xl_75" in info["Configs"]
    assert info["Dataprocessors"][0] == "MediSwiftPretrainingDataProcessor"
    assert [field["Name"] for field in described] == list(ModelParams.model_fields)
    assert "mediswift" in str(data)
    assert {"tokenizer_sha256", "data_dir"} <= {field["Name"] for field in described_data}
    num_parameters = 64 * 32 + 16 * 32 + 2 * (4 * 32 * 33 + 2 * 32 * 64 + 96 + 4 * 32) + 2 * 32
    assert f"Total Trainable Params: {num_parameters:,}" in outputs[5]
    assert_same_logits(checkpoint, tmp_path / "checkpoint_12_to_hf")


def assert_same_logits(checkpoint: Path, folder: Path) -> None:
    """The model that ModelZoo's converter wrote for transformers is the one of the checkpoint."""
    from transformers import GPT2LMHeadModel

    from mediswift_cs.model.pretraining import MediSwiftModel
    from mediswift_cs.training.checkpoint import load_checkpoint, materialise

    converted = GPT2LMHeadModel.from_pretrained(folder).eval()
    state = load_checkpoint(checkpoint, read=mdl_state.read)
    raw = state["__metadata__"][-1]["params"]
    model = MediSwiftModel(ModelParams(**raw["trainer"]["init"]["model"])).eval()
    weights = materialise(state["model"])
    model.load_state_dict({k: v for k, v in weights.items() if not k.endswith("_mask")})
    ids = torch.arange(16)[None, :]
    with torch.no_grad():
        expected = model.model(ids.int())
        torch.testing.assert_close(converted(ids).logits, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1


@pytest.mark.modelzoo
def test_validate_all_scores_every_checkpoint_as_we_did(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    model_dir = tmp_path / "run"
    run_own(make_toy_raw(), model_dir)
    lines = [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]
    ours = [line["val_perplexity"] for line in lines if "val_perplexity" in line]
    command = [str(REPOSITORY / "run.py"), "CPU", "--engine", "modelzoo", "--mode", "eval_all"]
    command += ["--params", str(tmp_path / "run.yaml"), "--model_dir", str(model_dir)]
    done = run_python(*command, cwd=tmp_path)
    found = re.findall(r"eval/lm_perplexity = ([0-9.]+)", done.stdout + done.stderr)
    assert [float(value) for value in found] == pytest.approx(ours, rel=1e-5)
    assert len(ours) == 2
    assert ours[0] > 1.01 * ours[1], "control: the two checkpoints differ"


@pytest.mark.modelzoo
def test_modelzoo_goes_on_in_the_folder_of_our_run(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    model_dir, raw = tmp_path / "run", make_toy_raw()
    raw["trainer"]["init"]["logging"]["log_steps"] = 1
    losses = run_own(raw, model_dir)
    (model_dir / "checkpoint_12.mdl").unlink()
    command = [str(REPOSITORY / "run.py"), "CPU", "--engine", "modelzoo", "--mode", "train"]
    command += ["--params", str(tmp_path / "run.yaml"), "--model_dir", str(model_dir)]
    done = run_python(*command, cwd=tmp_path)
    found = re.findall(r"Train Device=cpu, Step=(\d+), Loss=([0-9.]+)", done.stdout + done.stderr)
    assert [int(step) for step, _ in found] == list(range(7, 13))
    assert float(found[-1][1]) == pytest.approx(losses[-1], abs=1e-5)
    assert abs(losses[-1] - losses[5]) > 1e-3, "control"
    assert (model_dir / "checkpoint_12.mdl").is_file()


@pytest.mark.modelzoo
@pytest.mark.slow
def test_autorestart_spawns_processes_that_know_the_models(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    raw = make_toy_raw()
    raw["trainer"]["init"]["autorestart"] = {"max_num_restarts": 1}
    raw["trainer"]["init"]["model_dir"] = str(tmp_path / "out")
    params = tmp_path / "toy.yaml"
    params.write_text(yaml.safe_dump(raw))
    result = run_python(*ENTRY, "cszoo", "fit", str(params), cwd=tmp_path)
    assert "Spawning child process for the fit run" in result.stdout + result.stderr
    assert "Attempting to restart" not in result.stdout + result.stderr
    assert (tmp_path / "out/checkpoint_12.mdl").exists()
