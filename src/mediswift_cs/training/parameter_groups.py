"""Which parameters decay: ModelZoo 2.10's groups, in its order, for every host."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights and embeddings decay; biases and layer norms do not.

    This is the grouping of ModelZoo 2.10 (``optim_utils.configure_param_groups``), in its order,
    so that optimizer states mean the same parameters in both hosts.
    """
    norms = tuple(
        name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)
    )
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_norm = name.rpartition(".")[0] in norms
        (not_decayed if is_norm or "bias" in name else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": not_decayed, "weight_decay": 0.0},
    ]
