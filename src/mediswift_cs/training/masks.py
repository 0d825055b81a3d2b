"""The masks of sparse weights at work, and a count of the zeros that they really make.

A mask is the buffer ``<weight>_mask`` beside its weight, as cerebras-pytorch registers it.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from mediswift_cs.checkpoints.blocks import PartReport
from mediswift_cs.checkpoints.sparsity_report import SparsityReport, sparsity_report
from mediswift_cs.params.sparsity import SparsityParams
from mediswift_cs.params.weights import MASK_SUFFIX


@torch.no_grad()
def mask_gradients(masked: Iterable[tuple[str, Tensor, Tensor]]) -> None:
    """Set the gradient of every pruned weight to zero, whatever it was.

    ``masked`` is what :func:`masked_weights` gives.

    A selection, not a product: a NaN that belongs to no weight must not skip an update (as
    cerebras-pytorch does it).
    """
    for _, weight, mask in masked:
        if weight.grad is not None:
            torch.where(mask, weight.grad, weight.grad.new_zeros(()), out=weight.grad)


def add_masks(model: nn.Module, names: Iterable[str]) -> None:
    """Give weights a mask that keeps everything, for :func:`draw_mask` or a checkpoint to fill."""
    for name in names:
        module_name, _, own_name = name.rpartition(".")
        weight = model.get_parameter(name)
        module = model.get_submodule(module_name)
        module.register_buffer(own_name + MASK_SUFFIX, torch.ones_like(weight, dtype=torch.bool))


def draw_mask(weight: Tensor, params: SparsityParams) -> Tensor:
    """The first mask of a weight, on the CPU: the bits that cerebras-pytorch 2.10 draws there.

    ``random`` takes from torch's global generator (cerebras.pytorch.sparse.init).
    """
    weight = weight.detach().cpu()
    if params.init_method == "from_zeros":
        return weight != 0
    level = torch.tensor(params.level_after(0))
    if params.init_method == "checkerboard":
        return _checkerboard(weight.shape, 1 - float(level))
    scores = torch.rand_like(weight) if params.init_method == "random" else weight.abs()
    num_kept = int(((1 - level) * weight.numel()).int())
    kept = torch.topk(scores.flatten(), num_kept).indices
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[kept] = True
    return mask.view(weight.shape)


def _checkerboard(shape: torch.Size, density: float) -> Tensor:
    """Kept weights at equal distances in each row, each row shifted against the one before."""
    num_rows, num_columns = shape
    # As much longer as a shift can reach.
    length = num_columns + math.ceil(num_columns / density + 1e-5)
    counts = torch.floor(torch.arange(length) * density + 1e-5)
    row = counts[1:] != counts[:-1]
    shift = -math.floor(1 / density - 1e-5)
    rows = [torch.roll(row, number * shift) for number in range(num_rows)]
    return torch.stack(rows)[:, :num_columns].clone()


def masked_weights(model: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, weight and mask (True = kept) of each sparse weight."""
    buffers = dict(model.named_buffers())
    for name, weight in model.named_parameters():
        mask = buffers.get(name + MASK_SUFFIX)
        if mask is not None:
            yield name, weight, mask


@torch.no_grad()
def fold_masks(model: nn.Module) -> None:
    """Write the zeros into the weights, so that a checkpoint of step 0 holds them too."""
    for _, weight, mask in masked_weights(model):
        weight.mul_(mask)


@torch.no_grad()
def measure_sparsity(model: nn.Module) -> SparsityReport:
    """The zeros of every weight matrix of the decoder layers, counted."""
    return sparsity_report(
        PartReport(
            name=name,
            num_elements=weight.numel(),
            num_zeros=weight.numel() - int(torch.count_nonzero(weight)),
        )
        for name, weight in model.named_parameters()
        if weight.dim() == 2 and ".layers." in name
    )
