"""What `run --dry-run` says is what the run then does, and nothing is written by it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.cli import main
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]


@pytest.fixture
def dry_run(
    toy_raw: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Says what a run of the toy params into ``tmp_path``/out would do."""

    def run(*options: str, code: int = 0) -> str:
        params = tmp_path / "toy.yaml"
        params.write_text(yaml.safe_dump(toy_raw))
        before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
        command = ["run", "CPU", "--params", str(params), "--model_dir", str(tmp_path / "out")]
        assert main([*command, "--dry-run", *options]) == code
        captured = capsys.readouterr()
        after = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
        assert after == before
        return captured.out if code == 0 else captured.err

    return run


def test_it_says_what_the_run_does(
    toy_raw: dict[str, Any], tmp_path: Path, dry_run: Callable[..., str], make_trainer: MakeTrainer
) -> None:
    text = dry_run()
    for line in (
        "12,288 of 16,384 masked weights zero",
        "starts from random weights",
        "steps: 0 to 12, 12 to do; evaluation every 6, checkpoint every 6",
        "100 samples; 1,536 tokens are 0.96 epochs",
        "2 checkpoints of ",
        "nothing was written",
    ):
        assert line in text, line
    make_trainer(toy_raw, tmp_path / "out").fit([])
    own = list_checkpoints(tmp_path / "out")
    assert len(own) == 2
    text = dry_run()
    assert f"starts from {own[-1]}, which it goes on from" in text
    assert "steps: 12 to 12, 0 to do" in text
    assert "0 checkpoints of " in text
    init = toy_raw["trainer"]["init"]
    init["loop"]["max_steps"] = 20
    _, decay = init["schedulers"][0]["SequentialLR"]["schedulers"]
    decay["CosineDecayLR"]["total_iters"] = 17
    assert "steps: 12 to 20, 8 to do" in dry_run()
    # As the run counts them: at steps 18 and 20.
    assert "2 checkpoints of " in dry_run()


def test_epochs_follow_from_the_data(toy_raw: dict[str, Any], dry_run: Callable[..., str]) -> None:
    toy_raw["trainer"]["init"]["loop"] = {"num_epochs": 2, "eval_frequency": 0}
    # 100 samples in batches of 8.
    assert "steps: 0 to 24, 24 to do; no evaluation" in dry_run()


def test_it_refuses_what_the_run_refuses(
    toy_raw: dict[str, Any], tmp_path: Path, dry_run: Callable[..., str], make_trainer: MakeTrainer
) -> None:
    make_trainer(toy_raw, tmp_path / "out").fit([])
    make_trainer(toy_raw, tmp_path / "other").fit([])
    other = str(tmp_path / "other" / "checkpoint_12.mdl")
    error = dry_run("--checkpoint_path", other, code=2)
    assert "already holds the run that started from" in error
    toy_raw["trainer"]["fit"]["train_dataloader"]["data_dir"] = str(tmp_path / "none")
    assert "none" in dry_run(code=2)


def test_an_evaluation_is_said(dry_run: Callable[..., str]) -> None:
    text = dry_run("--mode", "eval")
    assert "evaluates: " in text
    assert "steps" not in text
