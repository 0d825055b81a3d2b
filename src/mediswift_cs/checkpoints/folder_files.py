"""config.json, generation_config.json and the PEFT adapter's config of an exported model."""

from typing import Any

from mediswift_cs import __version__
from mediswift_cs.checkpoints.export import ExportPlan
from mediswift_cs.checkpoints.restore import CONFIG_KEY


def model_config(plan: ExportPlan, eos_id: int | None) -> dict[str, Any]:
    """``config.json``: GPT-2's keys, and what the way back to ``.mdl`` needs."""
    checkpoint = plan.checkpoint
    config = checkpoint.architecture.to_hf_config(num_added_tokens=plan.num_added_tokens)
    config |= {"torch_dtype": plan.dtype, "bos_token_id": eos_id, "eos_token_id": eos_id}
    prompt = checkpoint.soft_prompt
    config[CONFIG_KEY] = {
        "version": __version__,
        "global_step": checkpoint.global_step,
        "tokenizer_sha256": checkpoint.tokenizer_sha256,
        "soft_prompt": vars(prompt) if prompt else None,
        "model": checkpoint.model_params,
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
