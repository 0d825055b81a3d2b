"""A run that goes on ends with the same bits, also where random numbers are drawn on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]


def test_dropout_goes_on_where_it_was(
    toy_raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    toy_raw["trainer"]["init"]["model"] |= {"dropout_rate": 0.2, "attention_dropout_rate": 0.2}
    make_trainer(toy_raw, tmp_path / "whole").fit([])
    expected = checkpoint.load_checkpoint(
        tmp_path / "whole" / "checkpoint_12.mdl", read=mdl_state.read
    )["model"]

    def ends_the_same(name: str, *, disturbed: bool) -> bool:
        trainer = make_trainer(toy_raw, tmp_path / name)
        trainer.load(tmp_path / "whole" / "checkpoint_6.mdl")
        if disturbed:
            torch.rand(1)
        trainer.fit([])
        found = checkpoint.load_checkpoint(
            tmp_path / name / "checkpoint_12.mdl", read=mdl_state.read
        )["model"]
        return all(torch.equal(found[key], value) for key, value in expected.items())

    assert ends_the_same("continued", disturbed=False)
    assert not ends_the_same("control", disturbed=True)
