"""ModelZoo as the other side: its converter, its model and its Trainer."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.errors import ConfigError
from mediswift_cs.modelzoo.registration import require_modelzoo

from .small_checkpoints import SECTION, UNVERIFIED, bits_equal, load_model

pytestmark = pytest.mark.modelzoo


@pytest.fixture(autouse=True)
def _modelzoo() -> None:
    try:
        require_modelzoo()
    except ConfigError as error:
        pytest.skip(str(error))


def run_python(*arguments: str | Path, cwd: Path) -> str:
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_its_converter_gives_the_same_tensors(dense: Path, tmp_path: Path) -> None:
    convert(dense, tmp_path / "ours", UNVERIFIED)
    params = tmp_path / "params.yaml"
    section = {**SECTION, "name": "gpt2", "share_embedding_weights": True, "nonlinearity": "gelu"}
    params.write_text(yaml.safe_dump({"model": section}))
    command = ["-m", "mediswift_cs.modelzoo", "cszoo", "checkpoint", "convert", "--model", "gpt2"]
    command += ["--src-fmt", "cs-2.9", "--tgt-fmt", "hf", "--config", str(params)]
    command += ["--output-dir", str(tmp_path / "theirs"), "--export-safetensors"]
    run_python(*command, "--drop-unmatched-keys", dense, cwd=tmp_path)
    theirs = {
        key: value
        for file in (tmp_path / "theirs").rglob("*.safetensors")
        for key, value in load_file(file).items()
    }
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    assert len(ours) == 28
    for key, value in ours.items():
        assert bits_equal(value, theirs.pop(key)), key
    # What is left is the tied head and the constants that old releases of transformers saved.
    head = theirs.pop("lm_head.weight", None)
    assert head is None or bits_equal(head, ours["transformer.wte.weight"])
    assert all(key.endswith((".attn.bias", ".attn.masked_bias")) for key in theirs), sorted(theirs)


def shards(folder: Path) -> str:
    """Random tokens in ModelZoo's layout."""
    folder.mkdir()
    tokens = np.random.default_rng(0).integers(0, 320, (32, 33)).astype(np.int32)
    rows = np.stack([tokens[:, :-1], np.ones((32, 32), np.int32), tokens[:, 1:]], axis=1)
    with h5py.File(folder / "shard.h5", "w") as file:
        file["data"] = rows
        file.attrs["n_examples"] = 32
    return str(folder)


FIT = """
import json, sys
from pathlib import Path
from mediswift_cs.modelzoo import register
register()
from cerebras.modelzoo.trainer.utils import run_trainer
run_trainer("train", json.loads(Path(sys.argv[1]).read_text()))
"""


def params_of_one_step(folder: Path, name: str, checkpoint: Path) -> dict[str, Any]:
    # A learning rate of 0: the checkpoint after the step must hold the numbers it started from.
    loader = {
        "data_processor": "GptHDF5MapDataProcessor",
        "data_dir": shards(folder / f"data_{name}"),
        "batch_size": 4,
        "shuffle": False,
        "num_workers": 0,
    }
    init = {
        "backend": {"backend_type": "CPU"},
        "model_dir": str(folder / f"run_{name}"),
        "seed": 1,
        "model": {**SECTION, "name": name},
        "optimizer": {"SGD": {"lr": 0.0, "momentum": 0.0}},
        "precision": {"enabled": False},
        "loop": {"num_steps": 1},
        "checkpoint": {"steps": 1},
    }
    fit = {"train_dataloader": loader, "ckpt_path": str(checkpoint)}
    return {"trainer": {"init": init, "fit": fit}}


@pytest.mark.parametrize("name", ["gpt2", "gpt3"])
def test_its_trainer_starts_from_our_mdl(dense: Path, tmp_path: Path, name: str) -> None:
    """.mdl -> folder -> .mdl -> a run of ModelZoo's own model -> its checkpoint -> folder."""
    convert(dense, tmp_path / "folder", UNVERIFIED)
    convert(tmp_path / "folder", tmp_path / "start.mdl", UNVERIFIED)
    jobs = tmp_path / "params.json"
    jobs.write_text(json.dumps(params_of_one_step(tmp_path, name, tmp_path / "start.mdl")))
    run_python("-c", FIT, jobs, cwd=tmp_path)
    (saved,) = (tmp_path / f"run_{name}").glob("**/checkpoint_1.mdl")
    expected, found = load_model(tmp_path / "start.mdl"), load_model(saved)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    # And back: a checkpoint that ModelZoo wrote, of its own model.
    convert(saved, tmp_path / "back", replace(UNVERIFIED, verify=True))
    first = load_file(tmp_path / "folder" / "model.safetensors")
    second = load_file(tmp_path / "back" / "model.safetensors")
    assert all(bits_equal(second[key], value) for key, value in first.items())
