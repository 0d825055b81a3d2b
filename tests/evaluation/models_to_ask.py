"""Models to ask, and the examples that they answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mediswift_cs.model.finetuning import build_model
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.tokenizer import fingerprint, load_tokenizer, vocab_size
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

from .asker import QUESTIONS
from .conftest import toy_config

CONTEXT = "Cells of mice divide."


def prepare(folder: Path, tokenizer: Path, task: Task, context: str, **settings: Any) -> Path:
    """Examples of a task that ask the questions, with an answer each."""
    examples = []
    for number, question in enumerate(QUESTIONS):
        asked = task.asked(question, context)
        labels = task.labels[:1]
        examples.append(
            replace(
                asked,
                id=str(number),
                document=str(number),
                target=task.answer_text(labels),
                labels=labels,
            )
        )
    write_prompt_data(
        {"train": examples[:1], "val": examples[1:2], "test": examples[2:]},
        tokenizer,
        folder,
        PromptSettings(**{"max_sequence_length": 90, "num_virtual_tokens": 3, **settings}),
        task=task,
        counts={},
        sources=(),
        overwrite=False,
    )
    return folder


def save_model(path: Path, tokenizer: Path, data: Path | None, **changes: Any) -> Path:
    """A checkpoint of a run on ``data`` whose answers differ."""
    torch.manual_seed(0)
    model = build_model(
        toy_config(**{"vocab_size": vocab_size(load_tokenizer(tokenizer)), **changes})
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5).add_(0.01)
    section = {k: v for k, v in model.config.model_dump().items() if v is not None}
    params: dict[str, Any] = {"trainer": {"init": {"model": section}}}
    if data is not None:
        loader = {"data_dir": str(data / "train"), "batch_size": 1}
        loader["data_processor"] = "MediSwiftPromptDataProcessor"
        params["trainer"]["fit"] = {"train_dataloader": loader}
    state = {
        "model": {key: value.detach() for key, value in model.state_dict().items()},
        "global_step": 7,
        "mediswift": {
            "tokenizer_sha256": fingerprint(tokenizer),
            "soft_prompt": section.get("soft_prompt"),
        },
        "__metadata__": [{"params": params}],
    }
    save_checkpoint(state, path, write=mdl_state.write)
    return path
