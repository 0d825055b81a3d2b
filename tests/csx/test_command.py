"""``run.py --validate_only`` and its neighbours from the command line."""

import contextlib
import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.csx.check import graphs_of_mode
from mediswift_cs.csx.cirh import summarise
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import fingerprint, load_params
from mediswift_cs.params.schema import Params

from .run_py import REPOSITORY, run_py


def test_pass_prints_one_block_and_writes_json(params: Path, tmp_path: Path) -> None:
    """The real data is read; a wrong compiler that comes first on PATH is not used."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "torch-cirh-opt").write_text("#!/bin/sh\nexit 0\n")
    (wrong / "torch-cirh-opt").chmod(0o755)
    done = run_py(
        *("--params", params.name, "--validate_only", "--json", "found.json", "--model_dir", "out"),
        folder=tmp_path,
        PATH=f"{wrong}{os.pathsep}{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["passed"] is True
    assert found["failure"] is None
    assert found["data"] == {"training": "read", "evaluation": "read"}
    assert found["batches"]["training"]["shapes"]["input_ids"] == [8, 16]
    assert found["graphs"].keys() == {"training", "evaluation"}
    assert found["graphs"]["training"]["operations"]["MatMul"] > 10
    assert found["graphs"]["training"]["num_sparsity_hints"] == 3 * 12
    assert [group["sparsity"] for group in found["sparsity"]] == [0.75, 0.75, 0.75]
    flops = found["training_flops"]
    assert flops["tokens"] == 12 * 8 * 16
    assert flops["dense_run"] == flops["dense_per_sequence"] * 12 * 8
    assert flops["sparse_run"] < flops["dense_run"]
    assert found["wall_seconds"] > 1
    assert found["peak_bytes"] > 2e8
    for path in found["artifacts"].values():
        assert Path(path).is_file()
    for expected in (
        "PASSED",
        "kernel matching, memory and placement",
        "8 x 16, int32",
        f"{found['num_parameters']:,}",
        found["graphs"]["training"]["sha256"],
        "cirh.mlir",
    ):
        assert expected in done.stdout
    assert not list(tmp_path.rglob("checkpoint_*")), "nothing was trained"


def test_eval_mode_compiles_the_evaluation_graph_alone(params: Path, tmp_path: Path) -> None:
    done = run_py(
        *("CSX", "--params", params.name, "--validate_only", "--mode", "eval"),
        *("--json", "found.json"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["graphs"].keys() == {"evaluation"}
    operations = found["graphs"]["evaluation"]["operations"]
    assert "GeluGrad" not in operations, "control: there is no backward pass"
    assert any("--mode train" in line for line in found["not_proved"])


def test_absent_data_is_said(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    for loader in ("train_dataloader", "val_dataloader"):
        toy_raw["trainer"]["fit"][loader]["data_dir"] = "nowhere"
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_raw))
    done = run_py("--params", "toy.yaml", "--validate_only", "--mode", "train", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "zeros of the same shape stood in for it" in done.stdout
    assert not (tmp_path / "nowhere").exists()


def test_validations_at_once_in_one_folder_are_independent(params: Path, tmp_path: Path) -> None:
    """One params file, two models: each verdict is that of its own."""
    widths = (32, 64)
    running = [
        subprocess.Popen(
            [
                *(sys.executable, str(REPOSITORY / "run.py"), "--params", params.name),
                *("--validate_only", "--mode", "train", "--json", f"{width}.json"),
                *("--set", f"trainer.init.model.filter_size={width}"),
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        for width in widths
    ]
    assert [process.wait() for process in running] == [0, 0]
    found = [json.loads((tmp_path / f"{width}.json").read_text()) for width in widths]
    assert found[0]["params_sha256"] != found[1]["params_sha256"]
    num_more = found[1]["num_parameters"] - found[0]["num_parameters"]
    assert num_more == 2 * 32 * (2 * 32 + 1)  # two layers; two matrices and one bias
    for width, each in zip(widths, found, strict=True):
        cirh = Path(each["artifacts"]["executors/000001/cirh.mlir"])
        assert summarise(cirh).sha256 == each["graphs"]["training"]["sha256"]
        loaded = load_params(params, [f"trainer.init.model.filter_size={width}"], check_data="none")
        changed = copy.deepcopy(loaded.raw)
        changed["trainer"]["init"]["backend"]["validate_only"] = True
        assert each["params_sha256"] == fingerprint(changed)


@pytest.mark.parametrize("mode", ["eval", "eval_all"])
def test_evaluation_needs_a_dataloader(mode: Any, toy_raw: dict[str, Any]) -> None:
    toy = Params.model_validate(toy_raw)
    assert graphs_of_mode(toy, mode).keys() == {"evaluation"}
    assert graphs_of_mode(toy, "train").keys() == {"training"}
    assert graphs_of_mode(toy, "train_and_eval").keys() == {"training", "evaluation"}
    trainer = toy_raw["trainer"]
    del trainer["validate"], trainer["validate_all"], trainer["fit"]["val_dataloader"]
    without = Params.model_validate(toy_raw)
    with pytest.raises(ConfigError, match=f"--mode {mode} needs data"):
        graphs_of_mode(without, mode)
    assert graphs_of_mode(without, "train_and_eval").keys() == {"training"}
    del trainer["init"]["optimizer"]
    with pytest.raises(ConfigError, match="--mode train trains"):
        graphs_of_mode(Params.model_validate(toy_raw), "train")


def test_the_compiler_ends_with_a_killed_validation(params: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "run.py"), "--params", params.name]
    validation = subprocess.Popen(
        [*command, "--validate_only", "--model_dir", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # It says its stage once it is under way.
    while not list(tmp_path.glob("out/validate_only/**/result.json")):
        assert validation.poll() is None
        time.sleep(0.05)
    assert compilers_below(tmp_path)
    validation.kill()
    validation.wait()
    end = time.monotonic() + 60
    while compilers_below(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not compilers_below(tmp_path)
    # It did not go on to its end, with nobody to read what it found.
    (result,) = tmp_path.glob("out/validate_only/**/result.json")
    assert json.loads(result.read_text())["stage"] != "compiling the evaluation graph"


def compilers_below(folder: Path) -> list[str]:
    """The processes that trace a model for a request below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = process.joinpath("cmdline").read_bytes().decode(errors="replace")
            if "mediswift_cs.csx.trace" in line and str(folder) in line:
                found.append(process.name)
    return found
