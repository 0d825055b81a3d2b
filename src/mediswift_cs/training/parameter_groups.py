"""Which parameters decay and at which rate they learn: ModelZoo 2.10's groups, for every host."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from mediswift_cs.params.optimizer import AdamWParams

# Names and patterns of models/nlp/gpt2/gpt2_model.py, in its order.
ADJUSTED_WEIGHTS: Mapping[str, tuple[str, ...]] = {
    "embedding": ("*embedding*weight",),
    "decoder_kernel": ("*decoder*dense*weight", "*decoder*linear*weight"),
    "decoder_attention": ("*decoder*attn*dense*weight",),
    "decoder_input_ffn": ("*decoder*ffn.ffn.[!1]*weight",),
    "decoder_output_ffn": ("*decoder*ffn.ffn.[1]*weight",),
}


def parameter_groups(model: nn.Module, params: AdamWParams) -> list[dict[str, Any]]:
    """Weights and embeddings decay; biases and layer norms do not.

    Where ``adjust_learning_rate`` asks for it, each of the two is cut further: one group for each
    factor, named ``adjust_learning_rate`` in it, and last the group of factor 1. This is the
    grouping of ModelZoo 2.10 (``optim_utils.configure_param_groups``), in its order, so that
    optimizer states mean the same parameters in every host.
    """
    norms = tuple(
        name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)
    )
    scales = _scales(params)
    # By whether they are spared from decay, and by factor.
    members: dict[tuple[bool, float], list[nn.Parameter]] = {
        (is_spared, scale): [] for is_spared in (False, True) for scale in (*scales, 1.0)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_spared = name.rpartition(".")[0] in norms or "bias" in name
            factor = next((scale for scale in scales if _matches(name, scales[scale])), 1.0)
            members[is_spared, factor].append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if is_spared else params.weight_decay}
        | ({"adjust_learning_rate": scale} if scales else {})
        for (is_spared, scale), parameters in members.items()
        # ModelZoo leaves groups out that adjusting the rate would make empty.
        if parameters or not scales
    ]


def _scales(params: AdamWParams) -> dict[float, list[str]]:
    """Each factor that is not 1 with the patterns of the weights that have it."""
    scales: dict[float, list[str]] = {}
    factors = params.adjust_learning_rate.factors
    for name, patterns in ADJUSTED_WEIGHTS.items():
        if name in factors:
            scales.setdefault(factors[name], []).extend(patterns)
    return scales


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
