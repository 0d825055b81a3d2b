"""Jobs that are killed or interrupted at random moments, and then given again.

One round here; ``make torture`` does 20 of each. What came out must be what comes out undisturbed,
with nothing left over and no child alive.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import load_checkpoint

from ..processes import alive_in_session

NUM_ROUNDS = int(os.environ.get("MEDISWIFT_TORTURE", "1"))
PROGRAM = (sys.executable, "-m", "mediswift_cs.cli")
INTERRUPTED = 130
# Seconds in which Python itself answers Ctrl-C.
PYTHON_START = 0.3


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command whose output goes to a folder.

    Attributes:
        command: the arguments, for an output folder.
        result: what must be the same, for an output folder.
        is_repeatable: it can be given again when it has ended well; a conversion replaces nothing.
    """

    command: Callable[[Path], list[str]]
    result: Callable[[Path], Any]
    is_repeatable: bool = True

    def start(self, output: Path) -> "subprocess.Popen[str]":
        """Begin it in a session of its own, so that its children can be found."""
        return subprocess.Popen(
            [*PROGRAM, *self.command(output)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, output: Path) -> None:
        """Carry it out to its end."""
        process = self.start(output)
        told, _ = process.communicate(timeout=300)
        assert process.returncode == 0, told[-3000:]


def checksums(folder: Path, *patterns: str) -> dict[str, str]:
    paths = sorted(path for pattern in patterns for path in folder.rglob(pattern))
    assert paths
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def tensors(state: Any, name: str = "") -> dict[str, bytes]:
    if isinstance(state, dict | list | tuple):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        found: dict[str, bytes] = {}
        for key, value in items:
            found |= tensors(value, f"{name}.{key}")
        return found
    return {name: state.detach().numpy().tobytes()} if hasattr(state, "detach") else {}


def saved(path: Path) -> dict[str, bytes]:
    return tensors(load_checkpoint(path, read=mdl_state.read))


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.parent.rglob("*") if ".partial" in path.name]


def finetuning(raw: dict[str, Any], world: Path) -> Path:
    init, fit = raw["trainer"]["init"], raw["trainer"]["fit"]
    init.pop("sparsity", None)
    manifest = json.loads((world / "questions" / "manifest.json").read_text())
    init["model"] |= {
        "name": "mediswift_finetuning",
        "vocab_size": manifest["tokenizer"]["vocab_size"],
        "max_position_embeddings": 96,
    }
    for loader, split in ((fit["train_dataloader"], "train"), (fit["val_dataloader"], "val")):
        loader |= {
            "data_processor": "MediSwiftPromptDataProcessor",
            "data_dir": str(world / "questions" / split),
            "batch_size": 4,
        }
    for name in ("validate", "validate_all"):
        raw["trainer"].pop(name, None)
    path = world / "finetuning.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.fixture
def job(request: pytest.FixtureRequest, world: Path, toy_raw: dict[str, Any]) -> Job:
    """The job that the test names."""
    kind = request.param
    if kind == "prepare":

        def prepare(output: Path) -> list[str]:
            config = world / f"{output.name}.yaml"
            settings = {
                "output": str(output),
                "pubmed": {"inputs": [str(world / "pubmed")]},
                "tokenizer": {"vocab_size": 400},
                "engine": {"workers": 2},
            }
            config.write_text(yaml.safe_dump(settings))
            return ["prepare", "--config", str(config)]

        patterns = ("*.h5", "tokenizer.json")
        return Job(command=prepare, result=lambda output: checksums(output, *patterns))
    if kind.startswith("run"):
        params = world / "toy.yaml"
        toy_raw["trainer"]["init"]["checkpoint"] |= {"steps": 4}
        toy_raw["trainer"]["init"]["loop"] |= {"max_steps": 40, "eval_frequency": 10}
        for part in toy_raw["trainer"]["init"]["schedulers"][0]["SequentialLR"]["schedulers"][1:]:
            part["CosineDecayLR"]["total_iters"] = 37
        params.write_text(yaml.safe_dump(toy_raw))
        engine = kind.removeprefix("run ")
        options = ["run", "CPU", "--params", str(params), "--engine", engine, "--model_dir"]
        return Job(
            command=lambda output: [*options, str(output)],
            result=lambda output: saved(output / "checkpoint_40.mdl"),
        )
    trained = world / "trained"
    if not (trained / "checkpoint_12.mdl").exists():
        params = finetuning(toy_raw, world)
        command = ["run", "CPU", "--params", str(params), "--mode", "train", "--model_dir"]
        subprocess.run([*PROGRAM, *command, str(trained)], check=True, capture_output=True)
    checkpoint = str(trained / "checkpoint_12.mdl")
    if kind == "evaluate":
        options = ["evaluate", "--checkpoint", checkpoint, "--data", str(world / "questions")]
        return Job(
            command=lambda output: [*options, "--output", str(output)],
            result=lambda output: checksums(output, "predictions.jsonl", "scores.json"),
        )
    tokenizer = str(world / "tokenizer.json")
    return Job(
        command=lambda output: ["convert", checkpoint, str(output), "--tokenizer", tokenizer],
        result=lambda output: checksums(output, "*.safetensors", "*.json"),
        is_repeatable=False,
    )


JOBS = ["prepare", "run torch", "run cerebras", "evaluate", "convert"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("job", JOBS, indirect=True)
def test_stopped_at_any_moment_and_given_again(
    job: Job, tmp_path: Path, number: signal.Signals
) -> None:
    begun = time.monotonic()
    job.finish(tmp_path / "whole")
    duration = time.monotonic() - begun
    expected = job.result(tmp_path / "whole")
    for index in range(NUM_ROUNDS):
        output = tmp_path / str(index) / "out"
        output.parent.mkdir()
        moment = random.uniform(PYTHON_START if number == signal.SIGINT else 0, duration)
        process = job.start(output)
        time.sleep(moment)
        process.send_signal(number)
        told, _ = process.communicate(timeout=120)
        what = f"{number.name} after {moment:.2f} of {duration:.2f} s\n{told[-2000:]}"
        if number == signal.SIGINT:
            assert process.returncode in (0, INTERRUPTED), what
            assert "Traceback" not in told, what
        end = time.monotonic() + 30
        while (alive := alive_in_session(process.pid)) and time.monotonic() < end:
            time.sleep(0.2)
        assert not alive, what
        if job.is_repeatable or not output.exists():
            job.finish(output)
        assert job.result(output) == expected, what
        assert not leftovers(output), what


@pytest.mark.slow
def test_two_runs_in_one_folder(world: Path, toy_raw: dict[str, Any], tmp_path: Path) -> None:
    """One of them runs to its end; the other says who is there, and touches nothing."""
    params = world / "two.yaml"
    toy_raw["trainer"]["init"]["logging"]["log_steps"] = 1
    params.write_text(yaml.safe_dump(toy_raw))
    command = [
        *PROGRAM,
        "run",
        "CPU",
        "--params",
        str(params),
        "--model_dir",
        str(tmp_path / "out"),
    ]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[0] for process in both]
    codes = [process.returncode for process in both]
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
        if "learning_rate" in line
    ]
    assert steps == list(range(1, 13))
    if 2 in codes:
        refused = told[codes.index(2)]
        assert "is in use by another run" in refused
        assert f"process {both[1 - codes.index(2)].pid} on " in refused
    else:
        # One had ended before the other looked.
        assert "nothing left to train" in "".join(told)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_named(
    world: Path, toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    params = world / "damaged.yaml"
    params.write_text(yaml.safe_dump(toy_raw))
    output = tmp_path / "out"
    command = [*PROGRAM, "run", "CPU", "--params", str(params), "--model_dir", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    newest = output / "checkpoint_12.mdl"
    expected = saved(newest)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(bytes(content))
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 2
    assert str(newest) in result.stderr
    newest.unlink()
    subprocess.run(command, check=True, capture_output=True)
    assert saved(newest) == expected
