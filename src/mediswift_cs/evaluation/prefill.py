"""The first pass over a batch of prompts, whose keys and values later tokens look back at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mediswift_cs.model.attention import LayerCache
from mediswift_cs.model.decoder import DecoderLanguageModel


@dataclass
class Prefilled:
    """A batch of prompts after their forward pass.

    Attributes:
        caches: one a layer, with padded_length tokens a row; those past its length are padding.
        last_states: [batch, hidden_size], the state of each prompt's last token.
        lengths: int64 [batch].
    """

    caches: list[LayerCache]
    last_states: Tensor
    lengths: Tensor
    padded_length: int

    def visible_prompt(self) -> Tensor:
        """bool [batch, 1, padded_length]: the columns of each row that are not padding."""
        columns = torch.arange(self.padded_length, device=self.lengths.device)
        return (columns[None, :] < self.lengths[:, None])[:, None, :]


def prefill(decoder: DecoderLanguageModel, prompts: list[list[int]], pad_id: int) -> Prefilled:
    """Run prompts of any lengths, padded at their ends, where causal attention never looks."""
    assert not decoder.training
    device = decoder.lm_head.weight.device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    longest = int(lengths.max())
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.int32)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt, dtype=torch.int32)
    caches = decoder.new_caches()
    states = decoder.hidden_states(ids.to(device), caches=caches)
    last = states[torch.arange(len(prompts), device=device), lengths - 1]
    return Prefilled(caches, last, lengths, longest)
