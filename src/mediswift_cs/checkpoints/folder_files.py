"""The files of an exported folder beside the tensors: settings, model card, tokenizer."""

import json
from pathlib import Path
from typing import Any

from mediswift_cs import __version__
from mediswift_cs.checkpoints import safetensors_file
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, ExportPlan
from mediswift_cs.checkpoints.hf_config import describe_architecture
from mediswift_cs.checkpoints.hf_folder import CONFIG_KEY
from mediswift_cs.checkpoints.model_card import model_card
from mediswift_cs.checkpoints.sparsity_report import SparsityReport
from mediswift_cs.checkpoints.tokenizer_files import (
    ModelTokenizer,
    training_manifest,
    write_tokenizer,
)
from mediswift_cs.tasks.prompt_folder import prompt_options


def write_folder_files(
    plan: ExportPlan,
    folder: Path,
    target: Path,
    tokenizer: ModelTokenizer | None,
    sparsity: SparsityReport,
    licence: str | None,
) -> None:
    """Write everything of an exported folder that is not tensors: settings, card, tokenizer.

    Args:
        folder: where the tensors are.
        target: the name that the folder will have.
        licence: of the weights, for the model card.
    """
    eos_id = tokenizer.eos_id if tokenizer else None
    texts = {
        "config.json": _json(model_config(plan, eos_id)),
        "generation_config.json": _json(generation_config(plan, eos_id)),
        "README.md": model_card(plan, sparsity, licence),
    }
    if len(plan.shards) > 1:
        texts[safetensors_file.INDEX_NAME] = safetensors_file.index_json(plan.shards)
    if any(name.startswith(f"{ADAPTER_FOLDER}/") for name in plan.files):
        adapter = adapter_config(plan, str(target))
        texts[f"{ADAPTER_FOLDER}/adapter_config.json"] = _json(adapter)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if tokenizer:
        write_tokenizer(tokenizer, folder, plan.checkpoint, plan.num_added_tokens)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def model_config(plan: ExportPlan, eos_id: int | None) -> dict[str, Any]:
    """``config.json``: GPT-2's keys, and what the way back to ``.mdl`` needs."""
    checkpoint = plan.checkpoint
    shape = checkpoint.architecture.folded
    config = describe_architecture(shape, num_added_tokens=plan.num_added_tokens)
    config |= {"torch_dtype": plan.dtype, "bos_token_id": eos_id, "eos_token_id": eos_id}
    prompt, manifest = checkpoint.soft_prompt, training_manifest(checkpoint)
    config[CONFIG_KEY] = {
        "version": __version__,
        "global_step": checkpoint.global_step,
        "tokenizer_sha256": checkpoint.tokenizer_sha256,
        "soft_prompt": prompt.to_record() if prompt else None,
        "model": checkpoint.model_params,
        "prompt": prompt_options(manifest) if manifest else None,
    }
    return config


def generation_config(plan: ExportPlan, eos_id: int | None) -> dict[str, Any]:
    """``generation_config.json``; virtual tokens are never generated."""
    config: dict[str, Any] = {
        "bos_token_id": eos_id,
        "eos_token_id": eos_id,
        "pad_token_id": eos_id,
    }
    if plan.num_added_tokens:
        first = plan.checkpoint.architecture.vocab_size
        config["suppress_tokens"] = list(range(first, first + plan.num_added_tokens))
    return config


def adapter_config(plan: ExportPlan, base_model: str) -> dict[str, Any]:
    """PEFT's ``adapter_config.json`` of a prompt-tuning adapter."""
    architecture, prompt = plan.checkpoint.architecture, plan.checkpoint.soft_prompt
    assert prompt is not None
    return {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "num_virtual_tokens": prompt.num_virtual_tokens,
        "token_dim": architecture.hidden_size,
        "num_transformer_submodules": 1,
        "num_attention_heads": architecture.num_heads,
        "num_layers": architecture.num_hidden_layers,
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "tokenizer_name_or_path": None,
        "revision": None,
    }
