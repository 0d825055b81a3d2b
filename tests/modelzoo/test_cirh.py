"""The graph for a CS-2 beside the one of ModelZoo's gpt3, both compiled by ModelZoo."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import run_python

pytestmark = [pytest.mark.modelzoo, pytest.mark.slow]


def compile_graph(raw: dict[str, Any], folder: Path) -> str:
    """The CIRH of the training step."""
    import cerebras.pytorch

    folder.mkdir()
    raw["trainer"]["init"]["model_dir"] = str(folder)
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(raw))
    # The wrapper of torch-cirh-opt that pip puts on PATH hides failures.
    native = Path(cerebras.pytorch.__file__).parent / "lib"
    os.environ["PATH"] = f"{native}{os.pathsep}{os.environ['PATH']}"
    command = ("-m", "mediswift_cs.modelzoo", "cszoo", "fit", str(params))
    run_python(*command, "--target_device", "CSX", "--validate_only", cwd=folder)
    (file,) = folder.glob("cerebras_logs/2*/executors/000001/cirh.mlir")
    text = file.read_text()
    assert text, "the lowering failed"
    return text


def test_operations_and_annotations_are_gpt3s(
    make_toy_raw: Callable[[], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    graphs = {}
    for name, data_processor in (
        ("mediswift", "MediSwiftPretrainingDataProcessor"),
        ("gpt3", "GptHDF5MapDataProcessor"),
    ):
        raw = make_toy_raw()
        trainer = raw["trainer"]
        trainer["init"]["model"]["name"] = name
        trainer["init"]["backend"]["backend_type"] = "CSX"
        trainer["init"]["precision"] = {
            "fp16_type": "cbfloat16",
            "precision_opt_level": 1,
            "loss_scaling_factor": "dynamic",
            "max_gradient_norm": 1.0,
        }
        trainer["init"]["loop"]["eval_frequency"] = None
        del trainer["fit"]["val_dataloader"], trainer["validate"], trainer["validate_all"]
        trainer["fit"]["train_dataloader"]["data_processor"] = data_processor
        graphs[name] = compile_graph(raw, tmp_path / name)
    counts = {
        name: Counter(re.findall(r"cirh\.[A-Za-z0-9_]+", text)) for name, text in graphs.items()
    }
    assert counts["mediswift"] == counts["gpt3"]
    num_masks = 6 * 2
    for text in graphs.values():
        assert text.count("min_sparsity") == 3 * num_masks
