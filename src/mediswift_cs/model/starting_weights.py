"""From the weights of one run to the starting point of another: masks applied, prompt added."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.soft_prompt import initial_rows
from mediswift_cs.params.weights import MASK_SUFFIX

SOFT_PROMPT_KEY = "model.soft_prompt.weight"
WORD_EMBEDDINGS_KEY = "model.embedding_layer.word_embeddings.weight"


@dataclass(frozen=True, kw_only=True)
class StartingWeights:
    """A state dict for the model, and how it was made.

    Attributes:
        num_woken: pruned weights that start at exactly 0, and train from now on where
            ``weights_train``.
        num_masked: weights under a mask in the checkpoint, kept or pruned.
        num_masks: masks that were applied and dropped.
        keeps_masks: the model has masks of its own, and takes the checkpoint's.
        adds_soft_prompt: the checkpoint has no soft prompt and the model has one.
    """

    state: Mapping[str, Any]
    num_woken: int
    num_masked: int
    num_masks: int
    keeps_masks: bool
    adds_soft_prompt: bool
    weights_train: bool

    def describe(self) -> list[str]:
        """Sentences for the log on what the weights start from."""
        lines = []
        if self.keeps_masks:
            lines.append("sparse fine-tuning: the checkpoint's masks stay, pruned weights stay 0")
        elif self.num_masks and self.num_woken == 0:
            lines.append(
                f"dense fine-tuning: the checkpoint's {self.num_masks} masks prune nothing; it "
                "was saved before its run drew them"
            )
        elif self.num_masks:
            fate = "train from now on" if self.weights_train else "stay there, as all weights do"
            lines.append(
                f"dense fine-tuning: {self.num_woken:,} of {self.num_masked:,} weights were "
                f"pruned; they start at 0 and {fate} ({self.num_masks} masks dropped)"
            )
        if self.adds_soft_prompt:
            lines.append("the checkpoint has no soft prompt: a new one is initialised")
        return lines


def starting_weights(
    model: MediSwiftModel, state: Mapping[str, Any], *, from_zeros: bool = False
) -> StartingWeights:
    """Fit the weights of a checkpoint to ``model``; ``state`` is left as it is.

    Where the model has no masks, the state's masks are multiplied into their weights and dropped,
    so that pruned weights are exactly 0 even in a checkpoint that was not folded yet. What else
    does not match is left for the strict loading that follows.

    Args:
        from_zeros: where the model has masks and the state has none, they are the state's zeros.

    Raises:
        CheckpointError: a mask without its weight, or of another shape.
    """
    expected = model.state_dict().keys()
    masks = [key for key in state if key.endswith(MASK_SUFFIX)]
    keeps_masks = any(key.endswith(MASK_SUFFIX) for key in expected)
    fitted = dict(state)
    num_woken = num_masked = 0
    for key in [] if keeps_masks else masks:
        mask = fitted.pop(key).detach().clone().bool()
        name = key.removesuffix(MASK_SUFFIX)
        if name not in state or state[name].shape != mask.shape:
            raise CheckpointError(
                f"each mask needs its weight, got {key} of shape {list(mask.shape)} and "
                + (f"{name} of shape {list(state[name].shape)}" if name in state else f"no {name}")
            )
        fitted[name] = masked(state[name], mask)
        num_woken += mask.numel() - int(torch.count_nonzero(mask))
        num_masked += mask.numel()
    masks_of_zeros = [key for key in expected if key.endswith(MASK_SUFFIX)] if from_zeros else []
    for key in masks_of_zeros:
        # A checkpoint's own masks say more than its zeros do.
        if key not in fitted and (name := key.removesuffix(MASK_SUFFIX)) in state:
            fitted[key] = state[name].detach() != 0
    adds_soft_prompt = SOFT_PROMPT_KEY in expected and SOFT_PROMPT_KEY not in state
    if adds_soft_prompt and WORD_EMBEDDINGS_KEY in state:
        fitted[SOFT_PROMPT_KEY] = _new_soft_prompt(model, state[WORD_EMBEDDINGS_KEY])
    return StartingWeights(
        state=fitted,
        num_woken=num_woken,
        num_masked=num_masked,
        num_masks=0 if keeps_masks else len(masks),
        keeps_masks=keeps_masks,
        adds_soft_prompt=adds_soft_prompt,
        weights_train=model.config.trainable == "all",
    )


def masked(weight: Tensor, mask: Tensor) -> Tensor:
    """A copy of ``weight`` with exact, positive zeros where ``mask`` is False."""
    return torch.where(mask, weight.detach().clone(), torch.zeros((), dtype=weight.dtype))


def _new_soft_prompt(model: MediSwiftModel, word_embeddings: Tensor) -> Tensor:
    prompt = model.model.soft_prompt
    assert prompt is not None
    rows = initial_rows(prompt.config, word_embeddings.detach().clone())
    return prompt.weight.detach().clone() if rows is None else rows.to(prompt.weight.dtype)
