"""A run whose numbers are not finite any more ends at once, and leaves only good files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import JOB_FAILED_EXIT_CODE, TrainingError
from mediswift_cs.training import checkpoint
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.journal import Journal
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]

SCORES = {"val_loss": 1.0, "val_perplexity": 2.0, "val_accuracy": 0.5, "val_tokens": 9.0}


@pytest.fixture
def trainer(toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer) -> Trainer:
    """Saves and writes a line after each step."""
    init = toy_raw["trainer"]["init"]
    init["checkpoint"]["steps"] = init["logging"]["log_steps"] = 1
    return make_trainer(toy_raw, tmp_path)


def lines_of(model_dir: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (model_dir / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def break_at(trainer: Trainer, step: int, attribute: str) -> None:
    """Let a weight, or its gradient, be NaN from the update of ``step`` on."""
    host = trainer.host
    assert isinstance(host, TorchSession)
    assert host.optimizer is not None
    weight = host.model.model.lm_head.weight
    update = host.optimizer.update

    def broken(learning_rate: float) -> None:
        if trainer.step == step - 1 and attribute == "grad":
            assert weight.grad is not None
            weight.grad[0, 0] = math.nan
        update(learning_rate)
        if trainer.step == step - 1 and attribute == "data":
            weight.data[0, 0] = math.inf

    host.optimizer.update = broken  # type: ignore[method-assign]


def test_control_the_same_run_ends_well(trainer: Trainer, tmp_path: Path) -> None:
    break_at(trainer, 99, "grad")
    trainer.fit([])
    assert [line["step"] for line in lines_of(tmp_path)] == list(range(1, 13))


def test_a_loss_that_is_not_a_number_ends_the_run(trainer: Trainer, tmp_path: Path) -> None:
    with torch.no_grad():
        trainer.host.model.model.lm_head.weight[0, 0] = math.nan
    message = r"^the loss is nan at step 1 with the learning rate 0: a run goes on with"
    with pytest.raises(TrainingError, match=message) as caught:
        trainer.fit([])
    assert caught.value.exit_code == JOB_FAILED_EXIT_CODE
    assert not (tmp_path / "metrics.jsonl").exists()
    assert checkpoint.list_checkpoints(tmp_path) == []


@pytest.mark.parametrize("attribute", ["grad", "data"])
def test_weights_that_are_not_finite_are_not_saved(
    trainer: Trainer, tmp_path: Path, attribute: str
) -> None:
    break_at(trainer, 3, attribute)
    with pytest.raises(TrainingError, match=r"^model\.model\..* is not finite at step 3 with the"):
        trainer.fit([])
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == [
        "checkpoint_1.mdl",
        "checkpoint_2.mdl",
    ]
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3]


def test_between_checkpoints_the_next_loss_ends_the_run(
    toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    toy_raw["trainer"]["init"]["logging"]["log_steps"] = 10
    trainer = make_trainer(toy_raw, tmp_path)
    break_at(trainer, 3, "grad")
    # Found where no line is due either.
    with pytest.raises(TrainingError, match=r"^the loss is nan at step 4 with the learning rate"):
        trainer.fit([])
    assert checkpoint.list_checkpoints(tmp_path) == []


def test_the_moments_of_the_optimizer_count_too() -> None:
    state = {"optimizer": {"state": {0: {"exp_avg": [torch.ones(2), torch.tensor(math.inf)]}}}}
    assert checkpoint.name_of_not_finite(state) == "optimizer.state.0.exp_avg.1"
    sound = {"a": torch.ones(2), "b": (torch.tensor([1, 2]), "text", None), "c": math.pi}
    assert checkpoint.name_of_not_finite(sound) is None


def test_a_held_out_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    with Journal(tmp_path, first_step=0, last_step=5, log_steps=1) as journal:
        # exp(1000) is larger than any float, and no broken run.
        journal.evaluation(2, {**SCORES, "val_loss": 1e3, "val_perplexity": math.inf}, None)
        for loss in (math.nan, math.inf):
            with pytest.raises(TrainingError, match=f"^the held-out loss is {loss} at step 3: a"):
                journal.evaluation(3, {**SCORES, "val_loss": loss}, None)
    (line,) = lines_of(tmp_path)
    assert line == {**SCORES, "step": 2, "val_loss": 1e3, "val_perplexity": None}
