"""What a run writes down of its steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.checkpoints.record import Record
from mediswift_cs.errors import CheckpointError, TrainingError
from mediswift_cs.params.schema import Params
from mediswift_cs.training import mdl_state
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.hosts.torch.session import TorchSession, peak_flops
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


def fit_on(host_name: str, raw: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    """Train in a folder, from its newest checkpoint if it has one; what was written down."""
    params = Params(**raw)
    if host_name == "torch":
        host: Host = TorchSession(params, "CPU", for_training=True)
    else:
        from mediswift_cs.training.hosts.cerebras.session import Session

        host = Session(params, for_training=True)
    folder.mkdir(exist_ok=True)
    trainer = Trainer(params, folder, raw, host)
    for path in list_checkpoints(folder)[-1:]:
        trainer.load(path)
    trainer.fit([])
    return [line for line in lines_of(folder) if "loss" in line]


@pytest.mark.parametrize("host", ["torch", pytest.param("cerebras", marks=pytest.mark.cerebras)])
def test_a_run_that_goes_on_forgets_no_clipped_update(
    host: str, toy_raw: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if host == "cerebras":
        request.getfixturevalue("cpu_backend")
    init = toy_raw["trainer"]["init"]
    init["loop"] = {"max_steps": 12}
    init["checkpoint"]["steps"] = 5
    init["logging"]["log_steps"] = 1
    init["precision"]["max_gradient_norm"] = 1e6
    norms = [line["gradient_norm"] for line in fit_on(host, toy_raw, tmp_path / "norms")]
    # Updates 4, 5 and 6 are one line; a checkpoint lies between its second and its third update.
    init["logging"]["log_steps"] = 3
    init["precision"]["max_gradient_norm"] = sorted(norms[3:6])[1] * 0.99
    undisturbed = fit_on(host, toy_raw, tmp_path / "whole")
    fraction = next(line["clipped_fraction"] for line in undisturbed if line["step"] == 6)
    assert 0 < fraction < 1, "the third update alone would be 0 or 1"
    for path in list_checkpoints(tmp_path / "whole")[1:]:
        path.unlink()
    again = fit_on(host, toy_raw, tmp_path / "whole")
    for name in ("step", "loss", "learning_rate", "gradient_norm", "clipped_fraction"):
        assert [line[name] for line in again] == [line[name] for line in undisturbed], name
    assert {frozenset(line) for line in again} == {frozenset(line) for line in undisturbed}


def test_only_a_checkpoint_between_two_lines_says_what_was_clipped(
    toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    toy_raw["trainer"]["init"]["checkpoint"]["steps"] = 4
    fit_on("torch", toy_raw, tmp_path / "run")
    noted = {
        path.stem: Record.read(mdl_state.read(path)).clipping
        for path in list_checkpoints(tmp_path / "run")
    }
    assert noted["checkpoint_4"] is not None
    assert noted["checkpoint_4"][1] == 1
    assert noted["checkpoint_8"] is not None
    assert noted["checkpoint_8"][1] == 2
    assert noted["checkpoint_12"] is None


@pytest.mark.parametrize("damaged", [[1], [2, 1], [-1, 2], ["a", 1], {"a": 1}, 3])
def test_a_damaged_note_of_clipping_is_refused(damaged: object) -> None:
    with pytest.raises(CheckpointError, match="the checkpoint's record is damaged: clipping: got"):
        Record.read({"mediswift": {"clipping": damaged}})
