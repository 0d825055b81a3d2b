"""A prepared data set, as evaluation reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.read import check_keys
from mediswift_cs.tasks.example import Example, read_examples_file
from mediswift_cs.tasks.prompt_layout import DESCRIBED, PromptLayout
from mediswift_cs.tasks.registry import find_task
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.manifest import TASK_COMMANDS, Manifest, read_manifest
from mediswift_cs.tokens.tokenizer import load_tokenizer

_KINDS = {
    "vocab_size": int,
    "num_virtual_tokens": int,
    "num_answer_tokens": int,
    "max_sequence_length": int,
    "position": str,
    "loss_on": str,
    "task": str,
}


@dataclass(frozen=True, kw_only=True)
class PromptData:
    """The folder of one task's examples with what its manifest says.

    Attributes:
        options: the section of the manifest that describes the task and the layout.
    """

    folder: Path
    manifest: Manifest
    task: Task
    options: Mapping[str, Any]
    layout: PromptLayout

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the shards."""
        return load_tokenizer(self.folder / self.manifest.tokenizer.file)

    def examples(self, split: str) -> list[Example]:
        """The examples of a split.

        Raises:
            DataError: the data set has no such split, or an example has labels of another task.
        """
        path = self.folder / f"{split}.jsonl"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in self.folder.glob("*.jsonl")))
            raise DataError(f"split: got {split!r}, allowed: {known}, in {self.folder}")
        examples = list(read_examples_file(path))
        for example in examples:
            self.task.check_example(example)
        return examples


def read_prompt_data(folder: Path) -> PromptData:
    """Open a data set of task examples.

    Raises:
        DataError: the folder is none, or its manifest describes no task and layout.
    """
    manifest = read_manifest(folder)
    options = prompt_options(manifest)
    if options is None:
        raise DataError(f"{folder} holds no task examples: prepare them with {TASK_COMMANDS}")
    layout, task = read_prompt_options(
        options,
        f"the manifest in {manifest.folder}",
        eos_id=manifest.tokenizer.eos_id,
    )
    return PromptData(
        folder=manifest.folder, manifest=manifest, task=task, options=options, layout=layout
    )


def prompt_options(manifest: Manifest) -> dict[str, Any] | None:
    """What an export keeps of the examples that its model answers; None for data of no task."""
    options = manifest.options.get("prompt")
    if not isinstance(options, dict):
        return None
    return {**options, "max_sequence_length": manifest.max_sequence_length}


def read_prompt_options(options: Any, where: str, *, eos_id: int) -> tuple[PromptLayout, Task]:
    """The layout and the task that :func:`prompt_options` described.

    Args:
        where: what holds them, for an error.

    Raises:
        DataError: a key is missing, or has a value that it cannot have.
    """
    check_keys(options, tuple(_KINDS), where)
    for key, kind in _KINDS.items():
        if type(options[key]) is not kind:
            allowed = "a whole number" if kind is int else "a string"
            raise DataError(f"{where}: {key}: got {options[key]!r:.80}, allowed: {allowed}")
    try:
        layout = PromptLayout(
            eos_id=eos_id,
            max_sequence_length=options["max_sequence_length"],
            **{key: options[key] for key in DESCRIBED},
        )
        task = find_task(options["task"]).from_options(options)
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error
    return layout, task
