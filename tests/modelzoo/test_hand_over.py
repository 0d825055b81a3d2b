"""What is handed over to ModelZoo, and what is found before it starts."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.modelzoo import engine
from mediswift_cs.params.load import load_params
from mediswift_cs.params.run_options import Mode
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import checkpoint_path, save_checkpoint

from .conftest import OPTIONS


class StartedError(Exception):
    """In place of ModelZoo's process."""


@pytest.fixture
def hand_over(
    toy_raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Hand the toy params over; StartedError where ModelZoo would start."""
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_raw))

    def started(*_: object) -> None:
        raise StartedError

    monkeypatch.setattr(os, "execv", started)

    def run(*overrides: str, mode: Mode = "train", given: Path | None = None) -> int:
        return engine.hand_over(
            load_params(path, overrides, check_data="none"),
            replace(OPTIONS, mode=mode, model_dir=tmp_path / "out", checkpoint_path=given),
        )

    return run


INIT = "trainer.init"
ONLY_MODEL = f"{INIT}.callbacks=[{{LoadCheckpointStates: {{load_checkpoint_states: model}}}}]"


@pytest.mark.parametrize(
    ("step", "overrides", "mode", "is_done"),
    [
        (12, [], "train", True),
        (13, [], "train_and_eval", True),
        (6, [], "train", False),
        (12, [], "eval", False),
        (12, [f"{INIT}.loop.num_steps=3"], "train", False),
        (12, [ONLY_MODEL], "train", False),
        (12, [f"{INIT}.checkpoint.autoload_last_checkpoint=false"], "train", False),
        (12, [f"{INIT}.backend.compile_only=true"], "train", False),
    ],
)
def test_a_finished_run_has_nothing_left_to_train(
    hand_over: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    step: int,
    overrides: list[str],
    mode: Mode,
    is_done: bool,
) -> None:
    (tmp_path / "out").mkdir()
    state = {"model": {"weight": torch.zeros(2)}, "global_step": step}
    save_checkpoint(state, checkpoint_path(tmp_path / "out", step), write=mdl_state.write)
    if is_done:
        assert hand_over(*overrides, mode=mode) == 0
        assert f"nothing left to train: step {step} of 12 is done" in capsys.readouterr().err
    else:
        with pytest.raises(StartedError):
            hand_over(*overrides, mode=mode)


# A schedule is as long as the run, which with epochs is as long as the data.
CONSTANT_RATE = (f"{INIT}.schedulers=[]", f"{INIT}.optimizer.AdamW.learning_rate=1e-3")


@pytest.mark.parametrize(
    ("overrides", "mode", "max_steps"),
    [
        ([], "train", 5 + 3 * 7),
        ([ONLY_MODEL], "train", 3 * 12),
        ([f"{INIT}.loop={{num_epochs: 2}}", *CONSTANT_RATE], "eval", None),
    ],
)
def test_what_is_left_of_an_accumulated_run_is_handed_over(
    hand_over: Callable[..., int],
    tmp_path: Path,
    overrides: list[str],
    mode: Mode,
    max_steps: int | None,
) -> None:
    """An evaluation has no steps to count, whatever the length of the training."""
    (tmp_path / "out").mkdir()
    state = {"model": {"weight": torch.zeros(2)}, "global_step": 5}
    save_checkpoint(state, checkpoint_path(tmp_path / "out", 5), write=mdl_state.write)
    with pytest.raises(StartedError):
        hand_over(f"{INIT}.loop.grad_accum_steps=3", *overrides, mode=mode)
    handed = yaml.safe_load((tmp_path / "out" / engine.RESOLVED_FILE).read_text())
    assert handed["trainer"]["init"]["loop"].get("max_steps") == max_steps


@pytest.mark.parametrize("mode", ["train", "eval", "eval_all"])
@pytest.mark.parametrize("is_given", [True, False])
def test_a_damaged_checkpoint_is_found_before_modelzoo_starts(
    hand_over: Callable[..., int], tmp_path: Path, mode: Mode, is_given: bool
) -> None:
    path = tmp_path / "out" / "checkpoint_6.mdl"
    path.parent.mkdir()
    path.write_bytes(b"\x89HDF\r\n")
    with pytest.raises(CheckpointError, match=r"checkpoint_6\.mdl"):
        hand_over(mode=mode, given=path if is_given else None)


@pytest.mark.parametrize("mode", ["eval", "eval_all"])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["trainer.validate.ckpt_path=null", "trainer.validate_all.ckpt_paths=[]"],
        [f"{INIT}.checkpoint.autoload_last_checkpoint=false"],
    ],
)
def test_random_weights_are_not_scored(
    hand_over: Callable[..., int], tmp_path: Path, mode: Mode, overrides: list[str]
) -> None:
    with pytest.raises(CheckpointError, match=r"nothing to evaluate: .*, got .*out"):
        hand_over(*overrides, mode=mode)
    assert not (tmp_path / "out").exists()
    # Control: with a checkpoint it starts, and so does training without one.
    path = tmp_path / "checkpoint_6.mdl"
    save_checkpoint(
        {"model": {"weight": torch.zeros(2)}, "global_step": 6}, path, write=mdl_state.write
    )
    with pytest.raises(StartedError):
        hand_over(*overrides, mode=mode, given=path)
    with pytest.raises(StartedError):
        hand_over(*overrides)


@pytest.mark.parametrize("mode", ["eval", "eval_all"])
def test_a_remote_checkpoint_is_one(hand_over: Callable[..., int], mode: Mode) -> None:
    remote = "s3://bucket/a.mdl"
    keys = [f"trainer.validate.ckpt_path={remote}", f"trainer.validate_all.ckpt_paths={remote}"]
    with pytest.raises(StartedError):
        hand_over(*keys, mode=mode)


@pytest.mark.parametrize("name", ["s3://bucket/a.mdl", None])
def test_what_modelzoo_reads_itself_is_left_to_it(
    hand_over: Callable[..., int], name: str | None
) -> None:
    with pytest.raises(StartedError):
        hand_over(f"trainer.fit.ckpt_path={name or 'null'}")
    with pytest.raises(CheckpointError, match="absent"):
        hand_over("trainer.validate_all.ckpt_paths=[absent*.mdl]", mode="eval_all")


def test_the_length_of_an_accumulated_run_from_an_object_store(
    hand_over: Callable[..., int],
) -> None:
    keys = ["trainer.fit.ckpt_path=s3://bucket/a.mdl", f"{INIT}.loop.grad_accum_steps=3"]
    with pytest.raises(ConfigError, match="num_steps in its place"):
        hand_over(*keys)
    with pytest.raises(StartedError):
        hand_over(*keys, f"{INIT}.loop.num_steps=4")
    with pytest.raises(StartedError):
        hand_over(keys[0])


@pytest.mark.parametrize("mode", ["eval", "eval_all"])
def test_an_evaluation_counts_no_updates(
    hand_over: Callable[..., int], tmp_path: Path, mode: Mode
) -> None:
    path = tmp_path / "checkpoint_6.mdl"
    save_checkpoint(
        {"model": {"weight": torch.zeros(2)}, "global_step": 6}, path, write=mdl_state.write
    )
    keys = [f"{INIT}.loop={{num_epochs: 1, grad_accum_steps: 2}}", *CONSTANT_RATE]
    with pytest.raises(StartedError):
        hand_over(*keys, mode=mode, given=path)
    init = yaml.safe_load((tmp_path / "out" / engine.RESOLVED_FILE).read_text())["trainer"]["init"]
    assert init["logging"]["log_steps"] == 3
    with pytest.raises(ConfigError, match="num_epochs"):
        hand_over(*keys, given=path)
