"""Which steps train, evaluate and save."""

from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import Params
from mediswift_cs.training.plan import RunPlan, ignored_settings, num_checkpoints_kept, plan_run


def plan(raw: dict[str, Any], first_step: int = 0, **loop: Any) -> RunPlan:
    raw["trainer"]["init"]["loop"] = loop
    raw["trainer"]["init"]["callbacks"] = [{"KeepNCheckpoints": {"n": 2}}]
    return plan_run(Params(**raw).trainer.init, first_step=first_step, num_batches=10)


def test_evaluates_at_whole_multiples_and_at_the_end(toy_raw: dict[str, Any]) -> None:
    assert plan(toy_raw, max_steps=10, eval_frequency=4).segment_ends() == [4, 8, 10]
    assert plan(toy_raw, 5, max_steps=10, eval_frequency=4).segment_ends() == [8, 10]
    assert plan(toy_raw, max_steps=10, eval_frequency=0.5).segment_ends() == [5, 10]
    assert plan(toy_raw, max_steps=10, eval_frequency=0).segment_ends() == [10]
    assert plan(toy_raw, max_steps=10).segment_ends() == [10]


def test_ends_where_modelzoo_ends(toy_raw: dict[str, Any]) -> None:
    assert plan(toy_raw, 5, num_steps=7).last_step == 12
    assert plan(toy_raw, 5, max_steps=7).last_step == 7
    assert plan(toy_raw, num_epochs=2).last_step == 20
    assert plan(toy_raw, num_epochs=2, grad_accum_steps=3).last_step == 6
    assert plan(toy_raw, num_epochs=2, max_steps=15).last_step == 15
    with pytest.raises(ConfigError, match="grad_accum_steps: got 11"):
        plan(toy_raw, num_epochs=1, grad_accum_steps=11)


def test_an_interrupted_run_keeps_its_end_and_its_evaluations(toy_raw: dict[str, Any]) -> None:
    for loop in ({"num_steps": 100, "eval_frequency": 0.5}, {"num_epochs": 10}):
        whole = plan(toy_raw, **loop)
        rest = whole.continued_at(60)
        assert rest.last_step == whole.last_step == 100
        assert rest.segment_ends() == [end for end in whole.segment_ends() if end > 60]
    assert whole.is_evaluation_step(100)
    assert not whole.is_evaluation_step(0)
    assert plan(toy_raw, max_steps=10, eval_frequency=4).is_evaluation_step(8)
    assert not plan(toy_raw, max_steps=10, eval_frequency=4).is_evaluation_step(6)
    assert not plan(toy_raw, max_steps=10, eval_frequency=0).is_evaluation_step(10)


def test_saves_at_whole_multiples_and_at_the_end(toy_raw: dict[str, Any]) -> None:
    plan_of_ten = plan(toy_raw, max_steps=10)
    assert [step for step in range(1, 11) if plan_of_ten.is_checkpoint_step(step)] == [6, 10]
    assert num_checkpoints_kept(Params(**toy_raw).trainer.init) == 2


def test_names_the_callbacks_that_it_does_not_carry_out(toy_raw: dict[str, Any]) -> None:
    toy_raw["trainer"]["init"]["callbacks"] = [{"KeepNCheckpoints": {"n": 2}}, {"ComputeNorm": {}}]
    assert ignored_settings(Params(**toy_raw).trainer.init) == ["ComputeNorm"]
    toy_raw["trainer"]["init"]["checkpoint"] |= {"checkpoint_root": "elsewhere"}
    toy_raw["trainer"]["init"]["autorestart"] = {"max_num_restarts": 3}
    assert ignored_settings(Params(**toy_raw).trainer.init) == [
        "ComputeNorm",
        "checkpoint.checkpoint_root",
        "autorestart.max_num_restarts",
    ]
