"""Log-likelihoods of answers: the choices of a prompt share one pass over it.

After the prompt's pass, the tokens of all choices go through the decoder side by side, each one
seeing the prompt and its own choice only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mediswift_cs.evaluation.batching import batches_by_length
from mediswift_cs.evaluation.prefill import Prefilled, prefill
from mediswift_cs.model.decoder import DecoderLanguageModel

Choices = Sequence[Sequence[int]]


def common_prefix(answers: Choices) -> int:
    """How many first ids all answers share; at least one id of each is left out of it."""
    shortest = min(map(len, answers)) - 1
    for index in range(shortest):
        if len({answer[index] for answer in answers}) > 1:
            return index
    return max(0, shortest)


@torch.inference_mode()
def score_choices(
    decoder: DecoderLanguageModel,
    prompts: Sequence[Sequence[int]],
    choices: Sequence[Choices],
    *,
    pad_id: int,
    max_batch_tokens: int,
) -> list[list[float]]:
    """Sum of the log-probabilities (nats) of each choice's ids after its prompt.

    What a prompt is batched with makes no difference beyond rounding.

    Args:
        prompts: ids, soft prompt included, at least one each.
        choices: for each prompt its choices, at least one id each.
        pad_id: any id of the vocabulary.
    """
    scores: list[list[float]] = [[] for _ in prompts]
    lengths = [
        len(prompt) + sum(map(len, options))
        for prompt, options in zip(prompts, choices, strict=True)
    ]
    for batch in batches_by_length(lengths, max_batch_tokens):
        rows = [list(prompts[index]) for index in batch]
        options = [choices[index] for index in batch]
        for index, values in zip(batch, _score_batch(decoder, rows, options, pad_id), strict=True):
            scores[index] = values
    return scores


def _score_batch(
    decoder: DecoderLanguageModel, prompts: list[list[int]], choices: list[Choices], pad_id: int
) -> list[list[float]]:
    prompt = prefill(decoder, prompts, pad_id)
    first = functional.log_softmax(decoder.lm_head(prompt.last_states).float(), dim=-1)
    scores = [
        [float(first[row, choice[0]]) for choice in options] for row, options in enumerate(choices)
    ]
    if any(len(choice) > 1 for options in choices for choice in options):
        for row, values in enumerate(_later_tokens(decoder, prompt, choices, pad_id)):
            scores[row] = [a + b for a, b in zip(scores[row], values, strict=True)]
    return scores


def _later_tokens(
    decoder: DecoderLanguageModel, prompt: Prefilled, choices: list[Choices], pad_id: int
) -> list[list[float]]:
    """The log-probabilities of all ids of each choice but its first, summed."""
    device = prompt.lengths.device
    width = max(sum(len(choice) - 1 for choice in options) for options in choices)
    shape = (len(choices), width)
    ids = torch.full(shape, pad_id, dtype=torch.int32)
    targets = torch.full(shape, pad_id)
    # Of each column: which choice it belongs to (-1: padding), and how far into it.
    owner = torch.full(shape, -1)
    offset = torch.zeros(shape, dtype=torch.int64)
    for row, options in enumerate(choices):
        column = 0
        for number, choice in enumerate(options):
            end = column + len(choice) - 1
            ids[row, column:end] = torch.tensor(choice[:-1], dtype=torch.int32)
            targets[row, column:end] = torch.tensor(choice[1:])
            owner[row, column:end] = number
            offset[row, column:end] = torch.arange(len(choice) - 1)
            column = end
    visible = torch.cat(
        [prompt.visible_prompt().expand(-1, width, -1), _own_choice(owner).to(device)], dim=2
    )
    positions = prompt.lengths[:, None] + offset.to(device)
    states = decoder.hidden_states(
        ids.to(device), positions=positions, caches=prompt.caches, visible=visible
    )
    logits = functional.log_softmax(decoder.lm_head(states).float(), dim=-1)
    gained = logits.gather(2, targets.to(device)[..., None])[..., 0].double().cpu()
    return [
        [float(gained[row][owner[row] == number].sum()) for number in range(len(options))]
        for row, options in enumerate(choices)
    ]


def _own_choice(owner: Tensor) -> Tensor:
    """bool [batch, width, width]: columns see their own choice up to themselves."""
    width = owner.shape[1]
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    return (owner[:, :, None] == owner[:, None, :]) & earlier
