"""README.md of an exported model: only what the checkpoint says, and what nobody checked."""

import sys

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from mediswift_cs import __version__
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, PEFT_TENSOR, VECTORS_NAME, ExportPlan
from mediswift_cs.checkpoints.runs import runs
from mediswift_cs.checkpoints.source import Checkpoint
from mediswift_cs.checkpoints.sparsity_report import COLUMNS, SparsityReport
from mediswift_cs.checkpoints.tokenizer_files import training_manifest, virtual_tokens
from mediswift_cs.errors import DataError
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tasks.task import Task

# What the example continues where the model has no task of its own.
_BEGINNING = "Insulin resistance is"


def model_card(
    plan: ExportPlan, sparsity: SparsityReport, licence: str | None, *, has_tokenizer: bool
) -> str:
    """The text of the model card, the README.md of an exported folder.

    Args:
        licence: of the weights, one line; None says that it is not stated.
        has_tokenizer: whether the folder has one.
    """
    checkpoint, prompt = plan.checkpoint, plan.checkpoint.soft_prompt
    environment = Environment(
        loader=PackageLoader("mediswift_cs.checkpoints"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    all_runs, start = runs(checkpoint)
    task = _task(checkpoint)
    return environment.get_template("model_card.md.jinja").render(
        # As YAML, which reads `no` and `a: b` as something else than text.
        license=yaml.safe_dump(
            {"license": licence or "other"}, allow_unicode=True, width=sys.maxsize
        ).strip(),
        licence=licence,
        title=f"{checkpoint.model_params.get('name', 'GPT-2')} "
        f"({checkpoint.architecture.num_parameters:,} parameters)",
        source=checkpoint.path.name,
        version=__version__,
        shape=checkpoint.architecture,
        model_name=checkpoint.model_params.get("name"),
        dtype=plan.dtype,
        prompt=prompt,
        has_tokenizer=has_tokenizer,
        num_added_tokens=plan.num_added_tokens,
        runs=all_runs,
        start=start,
        task=task,
        text=task.wording().source if task else _BEGINNING,
        sparsity=sparsity,
        columns=COLUMNS,
        adapter=ADAPTER_FOLDER,
        vectors=VECTORS_NAME,
        vectors_tensor=PEFT_TENSOR,
        tokens="".join(virtual_tokens(prompt.num_virtual_tokens)) if prompt else "",
    )


def _task(checkpoint: Checkpoint) -> Task | None:
    """The task that the model was fine-tuned for, where its data is here."""
    manifest = training_manifest(checkpoint)
    if manifest is None or "prompt" not in manifest.options:
        return None
    try:
        return read_prompt_data(manifest.folder).task
    except DataError:
        # Of another release: the card says that the task is not known.
        return None
