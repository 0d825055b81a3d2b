"""GPT-2s of transformers, small and with random weights."""

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = {"vocab_size": 211, "n_embd": 24, "n_layer": 3, "n_head": 2, "n_positions": 40}


def small_gpt2(*, noise: float = 0.0, **changes: Any) -> GPT2LMHeadModel:
    """A model of these settings; with ``noise`` its attention is sharp enough to show scaling."""
    torch.manual_seed(2)
    config = GPT2Config(**{**SIZES, "activation_function": "gelu", **changes})
    model = GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn(parameter.shape))
    return model
