"""Text from an exported folder with transformers alone, as whoever serves the model would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs.checkpoints.export import ADAPTER_FOLDER
from mediswift_cs.checkpoints.restore import CONFIG_KEY, read_config
from mediswift_cs.checkpoints.tokenizer_files import virtual_tokens
from mediswift_cs.errors import CheckpointError


def generate_text(
    folder: Path, prompts: Sequence[str], *, max_new_tokens: int = 40, seed: int | None = None
) -> list[str]:
    """Continue each prompt; the soft prompt of the model, if any, is put in its place.

    Args:
        folder: what ``mediswift convert`` wrote, with a tokenizer.
        seed: sample with it; None takes the likeliest token each time.

    Returns:
        Prompt and continuation, without special tokens.

    Raises:
        CheckpointError: no tokenizer in the folder, or a prefix soft prompt without peft.
    """
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"no tokenizer.json in {folder}: convert with --tokenizer")
    prompt = (read_config(folder).get(CONFIG_KEY) or {}).get("soft_prompt")
    load_text_tokenizer: Any = AutoTokenizer.from_pretrained
    tokenizer = load_text_tokenizer(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    suffix, use_cache = "", True
    if prompt and prompt["position"] == "prefix":
        # With transformers 5, peft 0.21 counts the positions wrongly where it keeps a cache.
        model, use_cache = _with_adapter(model, folder), False
    elif prompt:
        suffix = "".join(virtual_tokens(prompt["num_virtual_tokens"]))
    model.eval()
    if seed is not None:
        torch.manual_seed(seed)
    texts = []
    for text in prompts:
        inputs = tokenizer(text + suffix, return_tensors="pt")
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=seed is not None,
            use_cache=use_cache,
        )
        texts.append(str(tokenizer.decode(output[0], skip_special_tokens=True)))
    return texts


def _with_adapter(model: Any, folder: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise CheckpointError(
            f"{folder} has a prefix soft prompt, which needs peft: pip install peft"
        ) from error
    return PeftModel.from_pretrained(model, folder / ADAPTER_FOLDER)
