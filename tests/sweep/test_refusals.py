"""What does not go with a sweep is told before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.sweep.runs import Outcome, _last_evaluation

Sweep = Callable[..., tuple[int, str, str]]

RATE = "trainer.init.optimizer.AdamW.learning_rate"
SEED = "trainer.init.seed"
THREE = ("--sweep", f"{RATE}=5e-4,1e-3,2e-3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sweep", f"{RATE}=1e-3,fast"), f"{RATE}: got 'fast', allowed: a number"),
        (("--sweep", f"{RATE}=1e-3,-1,-2"), f"{RATE}: got -2, allowed: a number, at least 0"),
        (("--sweep", "trainer.init.optimizer.AdamW.learning_rat=1,2"), "allowed: learning_rate"),
        (("--sweep", "trainer.init.seed=1,null"), "trainer.init.seed: got null, allowed: a number"),
        (("--sweep", "trainer.init.model.num_heads=2,3"), "got 3, allowed: a divisor"),
        ((*THREE, "--sweep", "trainer.init.seed=1,2"), "got 2 of them, allowed: one"),
        ((*THREE, "--set", f"{RATE}=1"), "the key is in --set too"),
        ((*THREE, "--mode", "eval"), "--sweep with --mode eval, allowed: train_and_eval"),
        ((*THREE, "--mode", "train"), "--sweep with --mode train, allowed: train_and_eval"),
        ((*THREE, "--mode", "eval_all"), "--sweep with --mode eval_all"),
        ((*THREE, "--validate_only"), "got both --sweep and --validate_only"),
        ((*THREE, "--compile_only"), "got both --sweep and --compile_only"),
        ((*THREE, "--json", "x.json"), "got both --sweep and --json"),
        (
            (*THREE, "--set", "trainer.init.backend.compile_only=true"),
            "got validate_only or compile_only",
        ),
        ((*THREE, "--threads", "0"), "--threads: got 0"),
        ((*THREE, "--set", "trainer.init.loop.eval_frequency=0"), "eval_frequency: got none"),
        ((*THREE, "--set", "trainer.init.loop.eval_frequency=null"), "eval_frequency: got none"),
        ((*THREE, "--set", "trainer.fit.val_dataloader=null"), "val_dataloader: got nothing"),
        ((*THREE, "--set", "trainer.fit.train_dataloader.data_dir=nowhere"), "got 'nowhere'"),
        (("--sweep", "trainer.fit.train_dataloader.batch_size=8,101"), "at most the 100 samples"),
        ((*THREE, "--set", "trainer.init.backend.backend_type=null"), "no device"),
        ((*THREE, "--model_dir", "/dev/null/out"), "cannot write to --model_dir /dev/null/out"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    sweep: Sweep, started: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, output, errors = sweep(*arguments)
    assert (code, output, started.commands) == (2, "", [])
    assert message in errors
    assert not list(tmp_path.glob("out/*/*"))


def test_every_wrong_value_is_told_at_once(sweep: Sweep) -> None:
    _, _, errors = sweep("--sweep", f"{RATE}=1e-3,fast,-1", "--set", f"{SEED}=x")
    told = [line for line in errors.splitlines() if "allowed" in line]
    assert len(told) == 3
    assert sum(SEED in line for line in told) == 1


def test_modelzoo_s_trainer_is_refused(
    sweep: Sweep, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediswift_cs.modelzoo import engine

    monkeypatch.setattr(engine, "choose_engine", lambda choice, device: "modelzoo")
    code, _, errors = sweep(*THREE, "--engine", "modelzoo")
    assert (code, started.commands) == (2, [])
    assert "--sweep with the engine modelzoo" in errors


def test_under_torchrun_it_is_refused(
    sweep: Sweep, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    code, _, errors = sweep(*THREE)
    assert (code, started.commands) == (2, [])
    assert "--sweep under torchrun" in errors


def test_a_line_that_a_kill_cut_short_ends_no_sweep(tmp_path: Path) -> None:
    lines = ['{"step": 4, "val_loss": 2.0}', '{"step": 8, "val_loss": 1.5}', '{"step": 9, "los']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert _last_evaluation(tmp_path) == Outcome(state="finished", step=8, val_loss=1.5)
    (tmp_path / "metrics.jsonl").write_text(lines[2])
    with pytest.raises(DataError, match="has no held-out loss"):
        _last_evaluation(tmp_path)
