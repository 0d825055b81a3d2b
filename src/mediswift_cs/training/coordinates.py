"""The coordinate check: how large the activations of a model are after its first updates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.host import Batch
from mediswift_cs.training.hosts.torch.session import TorchSession

# Ends of the names of what writes into the residual stream.
_BLOCKS = {
    "proj_output_dense_layer": "attention",
    "ffn.ffn.1.linear_layer": "feed-forward",
}


def block_outputs(params: Params, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean size of what attention and feed-forward add to the residual stream, on the last batch.

    A model of these params is trained on the batches first, an update each. With the right
    parameterization the sizes do not depend on width and density (arXiv 2405.15743).
    """
    session = TorchSession(params, "CPU", for_training=True)
    session.draw_masks()
    for batch in batches:
        session.update([batch])
    sizes: dict[str, list[float]] = {name: [] for name in _BLOCKS.values()}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            sizes[name].append(output.abs().mean().item())

        return hook

    for name, module in session.model.named_modules():
        for end, block in _BLOCKS.items():
            if name.endswith(end):
                module.register_forward_hook(note(block))
    with torch.no_grad():
        session.model(batches[-1])
    return {name: float(np.mean(values)) for name, values in sizes.items()}
