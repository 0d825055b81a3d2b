"""README.md of an exported model: only what the checkpoint says, and what nobody checked."""

import sys
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from mediswift_cs import __version__
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, ExportPlan
from mediswift_cs.checkpoints.sparsity_report import COLUMNS, SparsityReport
from mediswift_cs.checkpoints.tokenizer_files import training_manifest, virtual_tokens


def model_card(plan: ExportPlan, sparsity: SparsityReport, licence: str | None) -> str:
    """The text of README.md.

    Args:
        licence: of the weights, one line; None says that it is not stated.
    """
    checkpoint, prompt = plan.checkpoint, plan.checkpoint.soft_prompt
    environment = Environment(
        loader=PackageLoader("mediswift_cs.checkpoints"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    return environment.get_template("model_card.md").render(
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
        dtype=plan.dtype,
        prompt=prompt,
        num_added_tokens=plan.num_added_tokens,
        training=_training(plan),
        sparsity=sparsity,
        columns=COLUMNS,
        adapter=ADAPTER_FOLDER,
        tokens="".join(virtual_tokens(prompt.num_virtual_tokens)) if prompt else "",
    )


def _training(plan: ExportPlan) -> str:
    checkpoint = plan.checkpoint
    step = checkpoint.global_step
    lines = [f"- steps: {'not known' if step is None else f'{step:,}'}"]
    trainer = (checkpoint.params or {}).get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    loader: Any = (trainer.get("fit") or {}).get("train_dataloader") or {}
    batch = loader.get("batch_size")
    accumulated = _num_accumulated(trainer.get("init") or {})
    length = loader.get("max_sequence_length") or checkpoint.architecture.max_position_embeddings
    if step and isinstance(batch, int) and isinstance(length, int):
        lines.append(
            f"- tokens: {step * accumulated * batch * length:,} (steps x "
            f"{f'{accumulated} batches a step x ' if accumulated > 1 else ''}"
            f"batch size {batch} x length {length}, padding included)"
        )
    else:
        lines.append("- tokens: not known (the checkpoint does not keep its batch size or steps)")
    manifest = training_manifest(checkpoint)
    if manifest is None:
        lines.append("- data: its manifest was not found when the model was exported")
    else:
        split = manifest.splits.get("train")
        counts = (
            f", {split.num_documents:,} documents, {split.num_tokens:,} tokens" if split else ""
        )
        lines.append(
            f"- data: {len(manifest.sources)} sources{counts}, prepared with mediswift_cs "
            f"{manifest.package_version}; the first: {manifest.sources[0].path}"
            if manifest.sources
            else f"- data: no source listed{counts}"
        )
    return "\n".join(lines)


def _num_accumulated(init: Any) -> int:
    """Batches of a step, as params.training_cost counts them; these params may be ModelZoo's."""
    backend = (init.get("backend") or {}).get("backend_type") or init.get("device")
    accumulated = (init.get("loop") or {}).get("grad_accum_steps")
    return accumulated if backend != "CSX" and isinstance(accumulated, int) else 1
