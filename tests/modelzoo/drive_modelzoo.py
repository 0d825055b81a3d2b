"""Run jobs in one ModelZoo process: ``drive_modelzoo.py JOBS.json`` -> JOBS.results.json.

A job is one of
    {"fit": PARAMS}: the loss of each step;
    {"fit_unmended": PARAMS}: the same, with cerebras-pytorch's dynamic sparsity as it comes;
    {"fit_and_answer": [PARAMS, PROMPTS]}: what the trained model says to each prompt, see Answer;
    {"validate_and_answer": [PARAMS, PROMPTS]}: the same of the model that was loaded;
    {"cszoo": ARGUMENTS}: what the command prints.
"""

import contextlib
import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mediswift_cs.evaluation.generate import generate
from mediswift_cs.modelzoo import register
from mediswift_cs.modelzoo.entry import hand_over
from mediswift_cs.training.hosts.cerebras import dynamic_sparsity

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


class Answer(Callback):
    """Has the Trainer's own model answer prompts of ids when a run or an evaluation ends.

    Attributes:
        ids: for each prompt, what greedy decoding adds.
        logits: for each prompt, those after its last id.
    """

    def __init__(self, prompts: list[list[int]]) -> None:
        self.prompts = prompts
        self.ids: list[list[int]] = []
        self.logits: list[list[float]] = []

    def on_fit_end(self, trainer: Any, loop: Any) -> None:
        self.answer(trainer.model)

    def on_validate_end(self, trainer: Any, model: Any, loop: Any) -> None:
        self.answer(trainer.model)

    def answer(self, model: Any) -> None:
        was_training = model.training
        model.eval()
        with torch.no_grad():
            self.ids = generate(model.model, self.prompts, eos_id=0, max_new_tokens=6)
            self.logits = [
                model.model(torch.tensor([prompt], dtype=torch.int32))[0, -1].tolist()
                for prompt in self.prompts
            ]
        model.train(was_training)

    def on_save_trainer_state(self, trainer: Any, state_dict: dict[str, Any]) -> None:
        pass

    def on_load_trainer_state(self, trainer: Any, state_dict: dict[str, Any]) -> None:
        pass


def run_and_answer(
    mode: str, params: dict[str, Any], prompts: list[list[int]]
) -> dict[str, list[Any]]:
    with Answer(prompts) as answer:
        run_trainer(mode, params)
    return {"ids": answer.ids, "logits": answer.logits}


def fit(params: dict[str, Any]) -> list[float]:
    with RecordLosses() as recorder:
        run_trainer("train_and_eval", params)
    return list(recorder.losses)


def fit_unmended(params: dict[str, Any]) -> list[float]:
    dynamic_sparsity.mend()
    algorithm: Any = cstorch.sparse.DynamicSparsityAlgorithm
    names = ("update", "load_state_dict")
    mended = {name: getattr(algorithm, name) for name in names}
    for name, function in mended.items():
        setattr(algorithm, name, function.__wrapped__)
    try:
        return fit(params)
    finally:
        for name, function in mended.items():
            setattr(algorithm, name, function)


def cszoo(arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        hand_over("cszoo", arguments)
    return output.getvalue()


JOBS: dict[str, Callable[[Any], Any]] = {
    "fit": fit,
    "fit_unmended": fit_unmended,
    "fit_and_answer": lambda argument: run_and_answer("train_and_eval", *argument),
    "validate_and_answer": lambda argument: run_and_answer("eval", *argument),
    "cszoo": cszoo,
}


def main() -> None:
    path = Path(sys.argv[1])
    results = []
    for job in json.loads(path.read_text()):
        ((kind, argument),) = job.items()
        results.append(JOBS[kind](argument))
        logging.getLogger().handlers.clear()
    path.with_suffix(".results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
