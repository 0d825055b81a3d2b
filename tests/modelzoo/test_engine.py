"""``run.py --engine``: which loop runs, and what ModelZoo gets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.modelzoo import engine, registration
from mediswift_cs.params.run_options import Engine, EngineChoice

from .conftest import OPTIONS, REPOSITORY, run_python


@pytest.mark.parametrize(
    ("asked", "device", "found", "missing", "expected"),
    [
        ("auto", "CPU", True, [], "torch"),
        ("auto", "GPU", True, [], "torch"),
        ("auto", "CSX", True, [], "modelzoo"),
        ("auto", "CSX", False, [], "cerebras"),
        ("auto", "CSX", True, ["lm_eval"], "cerebras"),
        ("modelzoo", "CPU", True, [], "modelzoo"),
        ("cerebras", "CPU", True, [], "cerebras"),
        ("builtin", "GPU", True, [], "torch"),
        ("builtin", "CSX", True, [], "cerebras"),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: EngineChoice,
    device: str,
    found: bool,
    missing: list[str],
    expected: Engine,
) -> None:
    monkeypatch.setattr(registration, "is_found", lambda: found)
    monkeypatch.setattr(registration, "missing_packages", lambda: missing)
    assert engine.choose_engine(asked, device) == expected
    told = capsys.readouterr().err
    # That something else runs than could be is said.
    assert ("ModelZoo is there, but not lm_eval" in told) is bool(missing)
    assert (f"--engine builtin is called {expected} for the device {device} now" in told) is (
        asked == "builtin"
    )


def test_what_cannot_be_chosen_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "is_found", lambda: False)
    with pytest.raises(ConfigError, match="cannot be imported"):
        engine.choose_engine("modelzoo", "CSX")
    with pytest.raises(ConfigError, match="torch runs on CPU and GPU, got the device CSX"):
        engine.choose_engine("torch", "CSX")
    with pytest.raises(ConfigError, match="allowed: --engine torch, or auto"):
        engine.choose_engine("cerebras", "GPU")


def resolve(raw: dict[str, Any], **choices: Any) -> dict[str, Any]:
    trainer: dict[str, Any] = engine.resolve(raw, replace(OPTIONS, **choices))["trainer"]
    return trainer


def test_resolved_params(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    before = yaml.safe_dump(toy_raw)
    toy_raw["trainer"]["init"]["device"] = "CSX"
    trainer = resolve(toy_raw)
    assert trainer["init"]["backend"] == {"backend_type": "CPU"}
    assert "device" not in trainer["init"]
    assert trainer["init"]["model_dir"] == "out"
    assert trainer["init"]["loop"] == toy_raw["trainer"]["init"]["loop"]

    only_train = resolve(toy_raw, mode="train")
    assert only_train["init"]["loop"]["eval_frequency"] is None
    assert "val_dataloader" not in only_train["fit"]

    with pytest.raises(CheckpointError, match="checkpoint not found"):
        resolve(toy_raw, checkpoint_path=tmp_path / "absent.mdl")
    path = tmp_path / "checkpoint_6.mdl"
    path.touch()
    assert resolve(toy_raw, checkpoint_path=path)["fit"]["ckpt_path"] == str(path)
    scored = resolve(toy_raw, mode="eval", checkpoint_path=path)
    assert scored["validate"]["ckpt_path"] == str(path)
    assert "ckpt_path" not in scored["fit"]
    scored = resolve(toy_raw, mode="eval_all", checkpoint_path=path)
    assert scored["validate_all"]["ckpt_paths"] == str(path)
    del toy_raw["trainer"]["init"]["device"]
    assert yaml.safe_dump(toy_raw) == before


Start = Callable[..., tuple[int, str, str]]


@pytest.fixture
def start(toy_raw: dict[str, Any], tmp_path: Path) -> Start:
    """Run run.py on the toy params."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_raw))

    def run(*arguments: str) -> tuple[int, str, str]:
        script = str(REPOSITORY / "run.py")
        result = run_python(script, "--params", "toy.yaml", *arguments, cwd=tmp_path, check=False)
        return result.returncode, result.stdout, result.stderr

    return run


@pytest.mark.modelzoo
def test_modes_run_in_modelzoo(start: Start, tmp_path: Path) -> None:
    code, output, errors = start("--mode", "train", "--model_dir", "out", "--engine", "modelzoo")
    assert code == 0, errors[-3000:]
    assert "engine: ModelZoo (python -m mediswift_cs.modelzoo cszoo fit" in errors
    assert {path.name for path in (tmp_path / "out").glob("checkpoint_*.mdl")} == {
        "checkpoint_6.mdl",
        "checkpoint_12.mdl",
    }
    assert "Evaluation metrics" not in output + errors

    code, output, errors = start("--mode", "train", "--model_dir", "out", "--engine", "modelzoo")
    assert (code, output) == (0, "")
    assert "nothing left to train: step 12 of 12 is done" in errors

    code, output, errors = start("--mode", "eval", "--model_dir", "out", "--engine", "modelzoo")
    assert code == 0, errors[-3000:]
    theirs = [line for line in (output + errors).splitlines() if "eval/lm_perplexity" in line]
    code, output, errors = start("--mode", "eval", "--model_dir", "out", "--engine", "torch")
    assert code == 0, errors[-3000:]
    perplexity = float(theirs[-1].rpartition("=")[2])
    (ours,) = [line for line in errors.splitlines() if "held-out loss" in line]
    assert f"perplexity {perplexity:.2f}" in ours


@pytest.mark.modelzoo
def test_a_device_that_is_not_there_is_one_sentence(start: Start, tmp_path: Path) -> None:
    code, _, errors = start("--set", "trainer.init.backend.backend_type=CSX", "--model_dir", "out")
    assert code == 2
    assert errors.startswith("error: the device is CSX but no Wafer-Scale Cluster is configured")
    assert not (tmp_path / "out").exists()


def counted(raw: dict[str, Any], device: str = "CPU", done: int | None = 0) -> dict[str, Any]:
    init: dict[str, Any] = resolve(raw, device=device)["init"]
    engine.count_batches(init, device, done)
    return init


def test_accumulated_batches_are_counted_as_modelzoo_does(toy_raw: dict[str, Any]) -> None:
    """Its steps are batches: the same number of updates, checkpoints and evaluations."""
    loop = toy_raw["trainer"]["init"]["loop"]
    steps, every = loop["max_steps"], toy_raw["trainer"]["init"]["checkpoint"]["steps"]
    loop |= {"grad_accum_steps": 3, "eval_frequency": 4}
    init = counted(toy_raw)
    assert init["loop"]["max_steps"] == 3 * steps
    assert init["loop"]["eval_frequency"] == 12
    assert init["checkpoint"]["steps"] == 3 * every
    assert init["schedulers"] == toy_raw["trainer"]["init"]["schedulers"], "they count updates"
    # The step of a checkpoint counts updates, and is taken from max_steps before it is cut up.
    assert counted(toy_raw, done=5)["loop"]["max_steps"] == 5 + 3 * (steps - 5)
    with pytest.raises(ConfigError, match=r"loop\.max_steps: got 12, allowed: num_steps"):
        counted(toy_raw, done=None)
    loop["eval_frequency"] = 0.5
    assert counted(toy_raw)["loop"]["eval_frequency"] == 0.5
    assert counted(toy_raw, device="CSX")["loop"]["max_steps"] == steps
    loop |= {"num_epochs": 2, "max_steps": None}
    with pytest.raises(ConfigError, match=r"loop\.num_epochs: got 2, allowed: nothing beside"):
        counted(toy_raw)
    assert counted(toy_raw, device="CSX")["loop"]["num_epochs"] == 2
