"""Run jobs in one ModelZoo process: ``drive_modelzoo.py JOBS.json`` -> JOBS.results.json.

A job is {"fit": PARAMS}, whose result is the loss of each step, or {"cszoo": ARGUMENTS}, whose
result is what the command prints. PARAMS may be preceded by "seed" to train with another one.
"""

import contextlib
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

from mediswift_cs.modelzoo import register
from mediswift_cs.modelzoo.entry import hand_over

register()

import cerebras.pytorch as cstorch  # noqa: E402
from cerebras.modelzoo.trainer.callbacks import Callback  # noqa: E402
from cerebras.modelzoo.trainer.utils import run_trainer  # noqa: E402


class RecordLosses(Callback):
    """Keeps the loss of each training step in full precision."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: Any, model: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.record(outputs["loss"])

    @cstorch.step_closure
    def record(self, loss: Any) -> None:
        self.losses.append(loss.item())

    def on_save_trainer_state(self, trainer: Any, state_dict: dict[str, Any]) -> None:
        pass

    def on_load_trainer_state(self, trainer: Any, state_dict: dict[str, Any]) -> None:
        pass


def fit(params: dict[str, Any]) -> list[float]:
    with RecordLosses() as recorder:
        run_trainer("train_and_eval", params)
    return list(recorder.losses)


def cszoo(arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        hand_over("cszoo", arguments)
    return output.getvalue()


def main() -> None:
    path = Path(sys.argv[1])
    results = []
    for job in json.loads(path.read_text()):
        ((kind, argument),) = job.items()
        results.append(fit(argument) if kind == "fit" else cszoo(argument))
        logging.getLogger().handlers.clear()
    path.with_suffix(".results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
