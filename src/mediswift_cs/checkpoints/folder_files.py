"""The files of an exported folder beside the tensors: settings, model card, tokenizer."""

import json
from pathlib import Path
from typing import Any

from mediswift_cs import __version__
from mediswift_cs.checkpoints import safetensors_file
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, ADAPTER_NAME, ExportPlan
from mediswift_cs.checkpoints.hf_config import describe_architecture
from mediswift_cs.checkpoints.hf_folder import CONFIG_KEY
from mediswift_cs.checkpoints.model_card import model_card
from mediswift_cs.checkpoints.sparsity_report import SparsityReport
from mediswift_cs.checkpoints.tokenizer_files import (
    ModelTokenizer,
    tokenizer_files,
    training_manifest,
)
from mediswift_cs.tasks.prompt_folder import prompt_options


def write_folder_files(
    plan: ExportPlan,
    folder: Path,
    tokenizer: ModelTokenizer | None,
    sparsity: SparsityReport,
    licence: str | None,
) -> None:
    """Write everything of an exported folder that is not tensors: settings, card, tokenizer.

    Args:
        folder: where the tensors are.
        licence: of the weights, for the model card.
    """
    contents = {
        "config.json": model_config(plan, tokenizer),
        "generation_config.json": generation_config(plan, tokenizer),
    }
    if ADAPTER_NAME in plan.files:
        contents[f"{ADAPTER_FOLDER}/adapter_config.json"] = adapter_config(plan)
    if tokenizer:
        contents |= tokenizer_files(tokenizer, plan.checkpoint, plan.num_added_tokens)
    texts = {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in contents.items()
    }
    texts["README.md"] = model_card(plan, sparsity, licence, has_tokenizer=tokenizer is not None)
    if len(plan.shards) > 1:
        texts[safetensors_file.INDEX_NAME] = safetensors_file.index_json(plan.shards)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def model_config(plan: ExportPlan, tokenizer: ModelTokenizer | None) -> dict[str, Any]:
    """``config.json``: GPT-2's keys, and what the way back to ``.mdl`` needs."""
    checkpoint, eos_id = plan.checkpoint, tokenizer.eos_id if tokenizer else None
    shape = checkpoint.architecture.folded
    config = describe_architecture(shape, num_added_tokens=plan.num_added_tokens)
    config |= {"torch_dtype": plan.dtype, "bos_token_id": eos_id, "eos_token_id": eos_id}
    prompt, manifest = checkpoint.soft_prompt, training_manifest(checkpoint)
    config[CONFIG_KEY] = {
        "version": __version__,
        "global_step": checkpoint.global_step,
        "tokenizer_sha256": tokenizer.sha256 if tokenizer else checkpoint.tokenizer_sha256,
        "soft_prompt": prompt.to_record() if prompt else None,
        "num_added_tokens": plan.num_added_tokens,
        "model": checkpoint.model_params,
        "prompt": prompt_options(manifest) if manifest else None,
    }
    return config


def generation_config(plan: ExportPlan, tokenizer: ModelTokenizer | None) -> dict[str, Any]:
    """``generation_config.json``; rows that stand for no text are never generated."""
    eos_id = tokenizer.eos_id if tokenizer else None
    config: dict[str, Any] = {
        "bos_token_id": eos_id,
        "eos_token_id": eos_id,
        "pad_token_id": eos_id,
    }
    num_rows = plan.checkpoint.architecture.vocab_size + plan.num_added_tokens
    if tokenizer:
        text_ids = set(tokenizer.tokenizer.get_vocab().values())
    else:
        text_ids = set(range(plan.checkpoint.architecture.vocab_size))
    if suppressed := [row for row in range(num_rows) if row not in text_ids]:
        config["suppress_tokens"] = suppressed
    return config


def adapter_config(plan: ExportPlan) -> dict[str, Any]:
    """PEFT's ``adapter_config.json`` of a prompt-tuning adapter."""
    architecture, prompt = plan.checkpoint.architecture, plan.checkpoint.soft_prompt
    assert prompt is not None
    return {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        # The folder that the adapter lies in.
        "base_model_name_or_path": "..",
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
