"""The client of a cluster, up to the first thing that it asks of the network."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.csx.check import validate
from mediswift_cs.csx.cirh import differences, summarise
from mediswift_cs.params.load import load_params

PROGRAM = Path(__file__).parent / "client_run.py"
ADDRESS = "cluster.invalid:443"


@pytest.mark.parametrize("option", [["--compile_only"], []], ids=["compile_only", "run"])
def test_what_the_cluster_gets_is_what_was_validated(
    option: list[str], toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    params = tmp_path / "toy.yaml"
    params.write_text(yaml.safe_dump(toy_raw))
    cluster = ["--mgmt_address", ADDRESS, "--mgmt_namespace", "n", "--num_csx", "2"]
    done = subprocess.run(
        [
            *(sys.executable, str(PROGRAM), "CSX", "--params", str(params), "--engine", "cerebras"),
            *("--mode", "train", "--model_dir", "out", "--job_labels", "model=toy"),
            *cluster,
            *option,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77, done.stderr
    assert done.stdout.splitlines()[-1] == f"connects to {ADDRESS}"
    (sent,) = (tmp_path / "out").rglob("executors/000001/cirh.mlir")

    loaded = load_params(params, check_data="none")
    verdict = validate(loaded, mode="train", model_dir=tmp_path / "validated")
    assert verdict.failure is None
    assert differences(verdict.graphs["training"], summarise(sent)) == []
    evaluated = validate(loaded, mode="eval", model_dir=tmp_path / "validated")
    assert differences(verdict.graphs["training"], evaluated.graphs["evaluation"]), "control"
