"""Text from an exported folder with transformers alone, as whoever serves the model would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs.checkpoints.export import ADAPTER_NAME
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
        CheckpointError: no tokenizer in the folder, or its soft prompt is a PEFT adapter.
    """
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"no tokenizer.json in {folder}: convert with --tokenizer")
    if (folder / ADAPTER_NAME).is_file():
        raise CheckpointError(
            f"{folder} has its soft prompt as a PEFT adapter: convert without --peft-adapter"
        )
    prompt = (read_config(folder).get(CONFIG_KEY) or {}).get("soft_prompt")
    load_text_tokenizer: Any = AutoTokenizer.from_pretrained
    tokenizer = load_text_tokenizer(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    suffix = ""
    if prompt and prompt["position"] == "infix":
        suffix = "".join(virtual_tokens(prompt["num_virtual_tokens"]))
    model.eval()
    if seed is not None:
        torch.manual_seed(seed)
    texts = []
    for text in prompts:
        inputs = tokenizer(text + suffix, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=seed is not None)
        texts.append(str(tokenizer.decode(output[0], skip_special_tokens=True)))
    return texts
