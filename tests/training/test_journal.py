"""What a run writes down of its steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import TrainingError
from mediswift_cs.training.gpu_peaks import peak_flops
from mediswift_cs.training.journal import Journal
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]


def lines_of(model_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]


def test_steps_between_two_lines_are_not_written(tmp_path: Path) -> None:
    with Journal(tmp_path, first_step=0, last_step=5, log_steps=2) as journal:
        for step in range(1, 6):
            journal.train_step(step, 1.0 / step, 0.1, 100)
    assert [line["step"] for line in lines_of(tmp_path)] == [2, 4, 5]
    assert all("loss_scale" not in line for line in lines_of(tmp_path))


def test_going_on_drops_later_lines_and_an_evaluation_drops_none(tmp_path: Path) -> None:
    with Journal(tmp_path, first_step=0, last_step=5, log_steps=1) as journal:
        for step in range(1, 6):
            journal.train_step(step, 1.0 / step, 0.1, 100)
    scores = {"val_loss": 1.0, "val_perplexity": 2.0, "val_accuracy": 0.5, "val_tokens": 9.0}
    with Journal(tmp_path, first_step=2, last_step=2, log_steps=1, trains=False) as journal:
        assert journal.lacks_evaluation(1)
        journal.evaluation(2, scores, None)
        assert not journal.lacks_evaluation(1)
        assert journal.lacks_evaluation(2)
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3, 4, 5, 2]
    # A kill has cut the last line: an evaluation's own line stands alone.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    with Journal(tmp_path, first_step=5, last_step=5, log_steps=1, trains=False) as journal:
        journal.evaluation(5, scores, None)
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 5
    with Journal(tmp_path, first_step=3, last_step=5, log_steps=1):
        pass
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3, 2]


def test_utilisation_is_the_share_of_the_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "NVIDIA A100-SXM4-80GB"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda:0")) == 312e12
    with monkeypatch.context() as two_processes:
        for variable, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
            two_processes.setenv(variable, value)
        assert peak_flops(torch.device("cuda:0")) == 2 * 312e12
    assert peak_flops(torch.device("cpu")) is None
    name = "A card of tomorrow"
    assert peak_flops(torch.device("cuda:0")) is None
    settings: dict[str, Any] = {"first_step": 0, "last_step": 2, "log_steps": 1}
    with Journal(tmp_path, **settings, peak_tokens_per_second=1e6) as journal:
        journal.train_step(1, 2.0, 0.1, 64)
    (line,) = lines_of(tmp_path)
    assert line["model_flops_utilization"] == line["tokens_per_second"] / 1e6


@pytest.mark.parametrize("log_loss_scale", [True, False])
def test_the_loss_scale_is_logged_where_the_params_ask_for_it(
    toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer, log_loss_scale: bool
) -> None:
    toy_raw["trainer"]["init"]["precision"] |= {"log_loss_scale": log_loss_scale}
    trainer = make_trainer(toy_raw, tmp_path)
    # Stands for the scale that only a CSX has.
    trainer.host.loss_scale = 1024.0 if log_loss_scale else None  # type: ignore[misc]
    trainer.fit([])
    found = [line["loss_scale"] for line in lines_of(tmp_path) if "loss_scale" in line]
    assert found == ([1024.0] * 4 if log_loss_scale else [])


def test_a_run_whose_scale_cannot_fall_further_stops(
    toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(toy_raw, tmp_path)
    trainer.host.failure = "gradients overflow at the smallest loss scale, 2,"  # type: ignore[misc]
    message = "smallest loss scale, 2, at step 1 with the learning rate 0: a run goes"
    with pytest.raises(TrainingError, match=message):
        trainer.fit([])


def test_the_norm_of_the_gradients_and_how_often_it_was_clipped(
    toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    init = toy_raw["trainer"]["init"]
    found = {}
    for limit in (1e-6, 1e6, None):
        init["precision"]["max_gradient_norm"] = limit
        make_trainer(toy_raw, tmp_path / str(limit)).fit([])
        found[limit] = lines_of(tmp_path / str(limit))
    assert {line["clipped_fraction"] for line in found[1e-6]} == {1.0}
    assert {line["clipped_fraction"] for line in found[1e6]} == {0.0}
    assert all(line["gradient_norm"] > 1e-3 for limit in (1e-6, 1e6) for line in found[limit])
    assert not any({"gradient_norm", "clipped_fraction"} & line.keys() for line in found[None])


def test_the_fraction_is_of_the_updates_since_the_line_before(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"first_step": 0, "last_step": 6, "log_steps": 4}
    with Journal(tmp_path, **settings, max_gradient_norm=1.0) as journal:
        for step, norm in enumerate((0.5, 1.5, 0.9, 1.0, 3.0, 0.1), start=1):
            journal.train_step(step, 2.0, 0.1, 64, gradient_norm=norm)
    found = [(line["gradient_norm"], line["clipped_fraction"]) for line in lines_of(tmp_path)]
    assert found == [(1.0, 0.25), (0.1, 0.5)]
