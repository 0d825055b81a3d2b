"""The same questions as a task of EleutherAI's lm-evaluation-harness, for an exported model.

Model and soft prompt are the harness's own business: this is for models without a soft prompt.
"""

import json
from pathlib import Path

import yaml

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.write import write_text
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.one_label import OneLabel
from mediswift_cs.tasks.prompt_folder import PromptData
from mediswift_cs.tasks.registry import TASKS
from mediswift_cs.tasks.task import Task

TASK_NAME = "mediswift_pubmedqa"


def write_lm_eval_task(data: PromptData, split: str, folder: Path) -> Path:
    """Write ``folder``/mediswift_pubmedqa.yaml and its JSON lines; returns the YAML's path.

    Run it with ``lm-eval --tasks mediswift_pubmedqa --include_path FOLDER``.

    Raises:
        ConfigError: a task with label sets, or data laid out for a soft prompt.
        DataError: a context that is cut for this model, which text cannot express.
    """
    if not isinstance(data.task, OneLabel):
        allowed = ", ".join(name for name, kind in TASKS.items() if issubclass(kind, OneLabel))
        raise ConfigError(f"task: got {data.task.name!r}, allowed for lm-eval: {allowed}")
    if data.layout.num_virtual_tokens:
        raise ConfigError(
            f"num_virtual_tokens: got {data.layout.num_virtual_tokens}, allowed for lm-eval: 0"
        )
    tokenizer = data.tokenizer
    examples = data.examples(split)
    for example in examples:
        if data.layout.encode_source(tokenizer, example).num_cut:
            raise DataError(
                f"{example.id} is cut to max_sequence_length {data.layout.max_sequence_length}; "
                "prepare the data with a larger one"
            )
    lines = "".join(_row(example, data.task) for example in examples)
    rows = write_text(folder / f"{TASK_NAME}.jsonl", lines)
    task = {
        "task": TASK_NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": [f"{label}." for label in data.task.labels],
        "doc_to_target": "target",
        # The stem ends in a word and each choice begins with a space.
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    return write_text(folder / f"{TASK_NAME}.yaml", yaml.safe_dump(task, sort_keys=False))


def _row(example: Example, task: Task) -> str:
    row = {
        "id": example.id,
        "prompt": example.source + task.stem,
        "target": task.labels.index(example.labels[0]),
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
