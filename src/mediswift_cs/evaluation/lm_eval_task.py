"""The same questions as a task of EleutherAI's lm-evaluation-harness, for an exported model.

A prefix soft prompt is put in by the export's tokenizer, an infix prompt is written into the text.
"""

import json
from pathlib import Path

import yaml
from tokenizers import Tokenizer

from mediswift_cs.checkpoints.tokenizer_files import virtual_tokens
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.write import write_text
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_folder import PromptData
from mediswift_cs.tasks.registry import TASKS

# Without it, lm-eval 0.4.9 leaves out what the tokenizer puts before a text.
MODEL_ARGS = "pretrained=EXPORT,add_bos_token=True"


def write_lm_eval_task(data: PromptData, split: str, folder: Path) -> Path:
    """Write ``folder``/mediswift_TASK.yaml and its JSON lines; returns the YAML's path.

    Run it with ``lm_eval --tasks mediswift_TASK --include_path FOLDER`` and MODEL_ARGS.

    Raises:
        ConfigError: a task with label sets.
        DataError: a context that is cut for this model where no text has the ids that are left.
    """
    if data.task.has_label_sets:
        allowed = ", ".join(name for name, kind in TASKS.items() if not kind.has_label_sets)
        raise ConfigError(f"task: got {data.task.name!r}, allowed for lm-eval: {allowed}")
    name, tokenizer = f"mediswift_{data.task.name}", data.tokenizer
    lines = "".join(_row(example, data, tokenizer) for example in data.examples(split))
    rows = write_text(folder.absolute() / f"{name}.jsonl", lines)
    task = {
        "task": name,
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
    return write_text(folder / f"{name}.yaml", yaml.safe_dump(task, sort_keys=False))


def command(task: Path) -> str:
    """The line that runs a task of :func:`write_lm_eval_task`."""
    return (
        f"lm_eval --model hf --model_args {MODEL_ARGS} --tasks {task.stem} "
        f"--include_path {task.parent}"
    )


def _row(example: Example, data: PromptData, tokenizer: Tokenizer) -> str:
    layout = data.layout
    source = layout.encode_source(tokenizer, example)
    text = example.source if source.num_cut == 0 else str(tokenizer.decode(source.ids))
    if source.num_cut and tokenizer.encode(text, add_special_tokens=False).ids != source.ids:
        raise DataError(
            f"{example.id} is cut to max_sequence_length {layout.max_sequence_length} within a "
            f"word, which a text cannot say; prepare the data with a larger one"
        )
    is_written = layout.position == "infix"
    names = "".join(virtual_tokens(layout.num_virtual_tokens)) if is_written else ""
    row = {
        "id": example.id,
        "prompt": text + names + data.task.stem,
        "target": data.task.labels.index(example.labels[0]),
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
