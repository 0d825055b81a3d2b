"""README.md of an exported model: only what the checkpoint says, and what nobody checked."""

import sys
from typing import Any

import yaml

from mediswift_cs import __version__
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, ExportPlan
from mediswift_cs.checkpoints.sparsity_report import COLUMNS, SparsityReport
from mediswift_cs.checkpoints.tokenizer_files import training_manifest, virtual_tokens

_HEADER = """---
library_name: transformers
pipeline_tag: text-generation
{license}
language: en
tags: [biomedical, gpt2, mediswift]
---

# {title}

Exported from `{source}` with mediswift_cs {version}.

> **Not for medical use.** This model must not be used for diagnosis, treatment or any other
> decision about a person's health. It writes plausible sentences that may be false.

## Base

{base}

## Training

{training}

## Sparsity

{sparsity}

## How to use it

```python
{example}
```

## Intended use

Research on biomedical language models: text completion, and fine-tuning for tasks whose answers
are checked by people.

## Not evaluated

Nothing was evaluated by this export: no benchmark, no factual accuracy, no bias, no privacy of the
training text, no safety. Scores that its owner measured belong here.

## Licence

{licence_text}
"""

_PLAIN_EXAMPLE = """from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
inputs = tokenizer("Insulin resistance is", return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
text = tokenizer.decode(output[0], skip_special_tokens=True)
print(text)"""

_INFIX_EXAMPLE = """from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
# The virtual tokens stand between the source text and the answer.
prompt = "Insulin resistance is" + "{tokens}"
inputs = tokenizer(prompt, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
text = tokenizer.decode(output[0], skip_special_tokens=True)
print(text)"""

_PREFIX_EXAMPLE = """from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
base = AutoModelForCausalLM.from_pretrained(folder)
# The adapter puts the virtual tokens before the text.
model = PeftModel.from_pretrained(base, folder + "/{adapter}")
inputs = tokenizer("Insulin resistance is", return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
text = tokenizer.decode(output[0], skip_special_tokens=True)
print(text)"""


def model_card(plan: ExportPlan, sparsity: SparsityReport, licence: str | None) -> str:
    """The text of README.md."""
    checkpoint = plan.checkpoint
    return _HEADER.format(
        # As YAML, which reads `no` and `a: b` as something else than text.
        license=yaml.safe_dump(
            {"license": licence or "other"}, allow_unicode=True, width=sys.maxsize
        ).strip(),
        title=f"{checkpoint.model_params.get('name', 'GPT-2')} "
        f"({checkpoint.architecture.num_parameters:,} parameters)",
        source=checkpoint.path.name,
        version=__version__,
        base=_base(plan),
        training=_training(plan),
        sparsity=_sparsity(sparsity),
        example=_example(plan),
        licence_text=licence
        or "Not stated: the owner of the weights decides (`mediswift convert --license`). The "
        "training text may be under its publishers' copyright.",
    )


def _base(plan: ExportPlan) -> str:
    shape, prompt = plan.checkpoint.architecture, plan.checkpoint.soft_prompt
    lines = [
        f"- GPT-2 architecture: {shape.num_hidden_layers} layers, width {shape.hidden_size}, "
        f"{shape.num_heads} heads, feed-forward {shape.filter_size}, {shape.nonlinearity}",
        f"- {shape.max_position_embeddings} positions, vocabulary {shape.vocab_size:,}, "
        f"embeddings {'tied' if shape.share_embedding_weights else 'untied'}",
        f"- weights in {plan.dtype}",
    ]
    if prompt:
        lines.append(
            f"- soft prompt: {prompt.num_virtual_tokens} virtual tokens, {prompt.position}"
        )
    if plan.num_added_tokens:
        lines.append(
            "- the virtual tokens are ordinary rows of the embedding here: generation never "
            "yields them (`suppress_tokens`), but a score that is normalised over the whole "
            "vocabulary counts them"
        )
    return "\n".join(lines)


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


def _sparsity(sparsity: SparsityReport) -> str:
    head = (
        f"{sparsity.num_zeros:,} of {sparsity.num_weights:,} weights of the linear layers are "
        f"exactly zero ({sparsity.sparsity:.6f}). They are stored as zeros: this format saves "
        f"neither memory nor time from them.\n"
    )
    table = ["| layer | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    table += ["| " + " | ".join(row) + " |" for row in sparsity.rows()]
    return head + "\n" + "\n".join(table)


def _example(plan: ExportPlan) -> str:
    prompt = plan.checkpoint.soft_prompt
    if prompt is None:
        return _PLAIN_EXAMPLE
    if prompt.position == "prefix":
        return _PREFIX_EXAMPLE.format(adapter=ADAPTER_FOLDER)
    return _INFIX_EXAMPLE.format(tokens="".join(virtual_tokens(prompt.num_virtual_tokens)))
