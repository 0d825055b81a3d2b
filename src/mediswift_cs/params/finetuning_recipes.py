"""The shipped fine-tuning files, rendered from the table of sizes and tasks."""

import math
from string import Template

from mediswift_cs.params.finetuning_template import FINETUNING as TEMPLATE
from mediswift_cs.params.recipes import (
    TITLES,
    marked,
    model_params,
    scalar,
    shared_blocks,
    template_values,
)
from mediswift_cs.params.soft_prompt import SoftPromptParams
from mediswift_cs.params.weights import num_parameters
from mediswift_cs.sizes import FINETUNING, SIZES, TINY_SOURCE, FineTuning, ModelSize


def finetuning_file_name(size: str, task: str) -> str:
    """``finetuning/mediswift_xl_pubmedqa.yaml``, below the folder of params files."""
    return f"finetuning/mediswift_{size}_{task}.yaml"


def render_all_finetuning() -> dict[str, str]:
    """File name -> text of every shipped fine-tuning file."""
    return {
        finetuning_file_name(name, task.task): render_finetuning(SIZES[name], task)
        for name, tasks in FINETUNING.items()
        for task in tasks
    }


def render_finetuning(size: ModelSize, task: FineTuning) -> str:
    """The text of one file: the decoder of the size, the recipe of the task."""
    if size.is_published:
        sources = task.sources
    else:
        # The soft prompt is the task's; everything else is chosen for two CPU cores.
        kept = ("num_virtual_tokens", "position", "init")
        sources = {k: s if k in kept else TINY_SOURCE for k, s in task.sources.items()}
    values = {**template_values(size), **marked(task, sources)}
    prompt = SoftPromptParams(num_virtual_tokens=task.num_virtual_tokens)
    config = model_params(size).model_copy(update={"soft_prompt": prompt})
    blocks = shared_blocks(
        values,
        size.backend_type,
        model_name="mediswift_finetuning",
        data_processor="MediSwiftPromptDataProcessor",
        folder=task.task,
        sample_length=values["max_sequence_length"],
    )
    return Template(TEMPLATE).substitute(
        values,
        **blocks,
        title=TITLES[size.name],
        task_title=task.title,
        task=task.task,
        prepare=task.prepare,
        length=task.max_sequence_length,
        num_tokens=task.num_virtual_tokens,
        prompt_position=task.position,
        num_parameters=f"{num_parameters(config):,}",
        # The rate is continuous where the warm-up ends.
        scale=f"{scalar(math.sqrt(task.warmup_steps))}  # the square root of warmup_steps",
    )
