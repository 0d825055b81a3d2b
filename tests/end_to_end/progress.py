"""How far a run has come, and whether two ended with the same bits."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (registers the filter of compressed checkpoints)
import numpy as np

# Evaluations and checkpoints fall on different steps, and not on the last one only.
LONG = (
    *("--set", "trainer.init.loop.max_steps=60", "--set", "trainer.init.loop.eval_frequency=25"),
    *("--set", "trainer.init.checkpoint.steps=8", "--set", "trainer.init.logging.log_steps=1"),
)
LAST = "checkpoint_60.mdl"


def tensors(checkpoint: Path) -> dict[str, Any]:
    """Every tensor of the model and the optimizer: weights, masks, moments, learning rate."""
    with h5py.File(checkpoint) as file:
        kept = [name for name in file if name.startswith(("model.", "optimizer."))]
        return {name: file[name][()] for name in kept}


def same(first: Path, second: Path) -> bool:
    a, b = tensors(first), tensors(second)
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


def steps_written(model_dir: Path) -> list[int]:
    path = model_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


def wait_for_step(process: "subprocess.Popen[str]", model_dir: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and max(steps_written(model_dir), default=0) < step:
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.02)
