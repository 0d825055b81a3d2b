"""ModelZoo and the built-in loop, each in processes of its own, on the same toy params."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.modelzoo.registration import require_modelzoo
from mediswift_cs.params.run_options import RunOptions
from mediswift_cs.tokens.hdf5 import ShardWriter

REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).parent / "drive_modelzoo.py"
OPTIONS = RunOptions(
    device="CPU",
    engine="modelzoo",
    mode="train_and_eval",
    model_dir=Path("out"),
    checkpoint_path=None,
)


@pytest.fixture(scope="session")
def modelzoo() -> None:
    """Skip, with the sentence that says how to enable it, where ModelZoo cannot be used."""
    try:
        require_modelzoo()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _skip_without_modelzoo(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("modelzoo"):
        request.getfixturevalue("modelzoo")


def run_python(
    *arguments: str, cwd: Path, check: bool = True, timeout: int = 300
) -> "subprocess.CompletedProcess[str]":
    """A Python process with captured output; its error text is shown when it fails."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=cwd,
        env={**os.environ, "PAGER": "cat"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check:
        assert result.returncode == 0, result.stdout[-1000:] + result.stderr[-3000:]
    return result


def drive(jobs: list[dict[str, Any]], folder: Path, timeout: int = 300) -> list[Any]:
    """Carry out jobs one after the other in one ModelZoo process; see drive_modelzoo.py."""
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    run_python(str(DRIVER), str(file), cwd=folder, timeout=timeout)
    return list(json.loads(file.with_suffix(".results.json").read_text()))


def finetuning_params(raw: dict[str, Any], root: Path) -> dict[str, Any]:
    """``raw`` as dense fine-tuning with a soft prompt between source and answer."""
    trainer = raw["trainer"]
    num_virtual_tokens, vocab_size = 3, trainer["init"]["model"]["vocab_size"]
    trainer["init"]["callbacks"] = [{"LoadCheckpointStates": {"load_checkpoint_states": "model"}}]
    trainer["init"]["model"] |= {
        "name": "mediswift_finetuning",
        "soft_prompt": {"num_virtual_tokens": num_virtual_tokens, "position": "infix"},
    }
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        # Each token follows from the one before it, so that there is something to learn.
        stream = (rng.integers(0, vocab_size, (40, 1)) + 3 * np.arange(17)) % vocab_size
        samples = np.stack([stream[:, :-1], stream[:, :-1], stream[:, 1:]], axis=1).astype(np.int32)
        samples[:, 0, 6:9] = vocab_size + np.arange(num_virtual_tokens)
        samples[:, 1] = np.arange(16) >= 9
        (root / "prompts" / split).mkdir(parents=True)
        writer = ShardWriter(
            root / "prompts" / split,
            max_sequence_length=16,
            samples_per_shard=40,
            attributes={
                "tokenizer_sha256": "a" * 64,
                "vocab_size": vocab_size,
                "num_virtual_tokens": num_virtual_tokens,
                "soft_prompt_position": "infix",
            },
        )
        writer.write(samples)
        writer.close()
    for key, loader in (
        ("train", trainer["fit"]["train_dataloader"]),
        ("val", trainer["fit"]["val_dataloader"]),
        ("val", trainer["validate"]["val_dataloader"]),
        ("val", trainer["validate_all"]["val_dataloaders"]),
    ):
        loader["data_processor"] = "MediSwiftPromptDataProcessor"
        loader["data_dir"] = str(root / "prompts" / key)
    return raw


def run_own(
    raw: dict[str, Any], model_dir: Path, *arguments: str, engine: str = "torch"
) -> list[float]:
    """The losses of ``run.py --engine torch`` or ``cerebras``, one a step."""
    model_dir.mkdir(parents=True)
    params = model_dir.with_suffix(".yaml")
    params.write_text(yaml.safe_dump(raw))
    command = [str(REPOSITORY / "run.py"), "--params", str(params)]
    command += ["--engine", engine, "--model_dir", str(model_dir)]
    run_python(*command, *arguments, cwd=model_dir)
    lines = (model_dir / "metrics.jsonl").read_text().splitlines()
    return [value["loss"] for line in lines if "loss" in (value := json.loads(line))]


def largest_difference(first: list[float], second: list[float]) -> float:
    """Over the steps; the lists must be of one length."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))
