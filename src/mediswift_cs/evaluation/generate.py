"""Greedy decoding of many prompts at once."""

from collections.abc import Sequence

import torch

from mediswift_cs.evaluation.batching import MAX_BATCH_TOKENS, batches_by_length
from mediswift_cs.evaluation.prefill import prefill
from mediswift_cs.model.decoder import DecoderLanguageModel


@torch.inference_mode()
def generate(
    decoder: DecoderLanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    eos_id: int,
    max_new_tokens: int,
    num_text_ids: int | None = None,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> list[list[int]]:
    """The most likely next id, again and again, until ``eos_id``, which is left out.

    Args:
        prompts: ids, soft prompt included, at least one each.
        max_new_tokens: ids at most; a prompt ends earlier where the model has no more positions.
        num_text_ids: later ids, which a tokenizer has no text for, are never taken.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    lengths = [len(prompt) + max_new_tokens for prompt in prompts]
    for batch in batches_by_length(lengths, max_batch_tokens, "generate"):
        rows = [list(prompts[index]) for index in batch]
        for index, ids in zip(
            batch,
            _generate_batch(decoder, rows, eos_id, max_new_tokens, num_text_ids),
            strict=True,
        ):
            answers[index] = ids
    return answers


def _generate_batch(
    decoder: DecoderLanguageModel,
    prompts: list[list[int]],
    eos_id: int,
    max_new_tokens: int,
    num_text_ids: int | None,
) -> list[list[int]]:
    prompt = prefill(decoder, prompts, eos_id)
    limit = decoder.config.max_position_embeddings
    answers: list[list[int]] = [[] for _ in prompts]
    positions = prompt.lengths.clone()
    is_open = torch.ones_like(positions, dtype=torch.bool)
    states = prompt.last_states
    visible = prompt.visible_prompt()
    for _ in range(max_new_tokens):
        chosen = decoder.lm_head(states)[:, :num_text_ids].argmax(dim=-1)
        is_open = is_open & (chosen != eos_id)
        for row in is_open.nonzero().flatten().tolist():
            answers[row].append(int(chosen[row]))
        # The token after the last position could be read off but not be fed again.
        can_go_on = is_open & (positions < limit)
        if not bool(can_go_on.any()):
            break
        visible = torch.cat([visible, torch.ones_like(visible[:, :, :1])], dim=2)
        states = decoder.hidden_states(
            chosen[:, None].int(),
            positions=positions.clamp(max=limit - 1)[:, None],
            caches=prompt.caches,
            visible=visible,
        )[:, 0]
        is_open = can_go_on
        positions = positions + 1
    return answers
