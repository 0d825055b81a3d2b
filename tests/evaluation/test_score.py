"""Constrained scores and greedy decoding against plain forward passes, one prompt at a time."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mediswift_cs.errors import DataError
from mediswift_cs.evaluation import batching, score
from mediswift_cs.evaluation import generate as module_of_generate
from mediswift_cs.evaluation.batching import MAX_BATCH_TOKENS, batches_by_length, check_lengths
from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.prefill import prefill
from mediswift_cs.evaluation.score import common_prefix, score_choices
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel


@pytest.fixture
def decoder(toy_model: MediSwiftFineTuningModel) -> DecoderLanguageModel:
    return toy_model.model


def some_prompts(vocab_size: int, number: int = 9) -> list[list[int]]:
    """Of lengths 1 to 50, each with the soft prompt at some place."""
    rng = random.Random(0)
    prompts = []
    for _ in range(number):
        words = [rng.randrange(vocab_size) for _ in range(rng.randrange(1, 48))]
        place = rng.randrange(len(words) + 1)
        virtual = list(range(vocab_size, vocab_size + 3))
        prompts.append([*words[:place], *virtual, *words[place:]])
    return prompts


@torch.no_grad()
def by_forward_pass(decoder: DecoderLanguageModel, prompt: list[int], choice: list[int]) -> float:
    logits: Tensor = decoder(torch.tensor([[*prompt, *choice]], dtype=torch.int32))
    log_probabilities = logits[0].log_softmax(-1)
    start = len(prompt) - 1
    return sum(float(log_probabilities[start + i, token]) for i, token in enumerate(choice))


def test_scores_are_those_of_plain_forward_passes(decoder: DecoderLanguageModel) -> None:
    vocab_size = decoder.config.vocab_size
    rng = random.Random(1)
    prompts = some_prompts(vocab_size)
    choices = [
        [[rng.randrange(vocab_size) for _ in range(rng.randrange(1, 6))] for _ in range(n % 4 + 1)]
        for n in range(len(prompts))
    ]
    scores = score_choices(decoder, prompts, choices, pad_id=0, max_batch_tokens=200)
    for prompt, options, values in zip(prompts, choices, scores, strict=True):
        expected = [by_forward_pass(decoder, prompt, choice) for choice in options]
        assert values == pytest.approx(expected, abs=1e-4)
    # Control: a score that forgot one token, or the prompt, is far off.
    lost = by_forward_pass(decoder, prompts[0], choices[0][0][:-1] or [1])
    assert abs(lost - scores[0][0]) > 1e-2
    assert abs(by_forward_pass(decoder, prompts[0][1:], choices[0][0]) - scores[0][0]) > 1e-3


@pytest.mark.parametrize("max_batch_tokens", [1, 120, 100_000])
def test_scores_do_not_depend_on_the_batch(
    decoder: DecoderLanguageModel, max_batch_tokens: int
) -> None:
    prompts = some_prompts(decoder.config.vocab_size)
    choices = [[[1, 2], [3], [4, 5, 6]]] * len(prompts)
    alone = [
        score_choices(decoder, [p], [choices[0]], pad_id=0, max_batch_tokens=MAX_BATCH_TOKENS)[0]
        for p in prompts
    ]
    together = score_choices(decoder, prompts, choices, pad_id=7, max_batch_tokens=max_batch_tokens)
    for a, b in zip(alone, together, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


@torch.no_grad()
def test_training_batches_give_each_row_what_it_gets_alone(decoder: DecoderLanguageModel) -> None:
    """Padding at the end, as in the shards: causal attention never looks at it."""
    prompts = some_prompts(decoder.config.vocab_size)
    longest = max(map(len, prompts))
    padded = torch.tensor([p + [0] * (longest - len(p)) for p in prompts], dtype=torch.int32)
    logits = decoder(padded)
    for row, prompt in enumerate(prompts):
        alone = decoder(torch.tensor([prompt], dtype=torch.int32))[0]
        torch.testing.assert_close(logits[row, : len(prompt)], alone, atol=1e-4, rtol=1e-4)
    # Control: padding at the front moves every position.
    front = torch.tensor([[0] * 5 + prompts[0]], dtype=torch.int32)
    alone = decoder(torch.tensor([prompts[0]], dtype=torch.int32))[0]
    assert (decoder(front)[0, 5:] - alone).abs().max() > 1e-2


@torch.no_grad()
def greedy(decoder: DecoderLanguageModel, prompt: list[int], eos_id: int, limit: int) -> list[int]:
    ids = list(prompt)
    while len(ids) - len(prompt) < limit:
        best = int(decoder(torch.tensor([ids], dtype=torch.int32))[0, -1].argmax())
        if best == eos_id:
            break
        ids.append(best)
    return ids[len(prompt) :]


def test_generation_is_greedy_decoding(decoder: DecoderLanguageModel) -> None:
    prompts = some_prompts(decoder.config.vocab_size)
    plain = [greedy(decoder, prompt, eos_id=-1, limit=12) for prompt in prompts]
    # An id that some answers reach, so that rows of a batch end at different times.
    eos_id = plain[0][5]
    expected = [greedy(decoder, prompt, eos_id, 12) for prompt in prompts]
    assert len({len(answer) for answer in expected}) > 1
    for max_batch_tokens in (1, 200, 100_000):
        found = generate(
            decoder, prompts, eos_id=eos_id, max_new_tokens=12, max_batch_tokens=max_batch_tokens
        )
        assert found == expected


def test_generation_stops_where_positions_end(decoder: DecoderLanguageModel) -> None:
    limit = decoder.config.max_position_embeddings
    (answer,) = generate(decoder, [[1] * (limit - 2)], eos_id=-1, max_new_tokens=50)
    assert answer == greedy(decoder, [1] * (limit - 2), -1, 3)


def test_a_row_at_its_last_position_does_not_stop_the_others(
    decoder: DecoderLanguageModel,
) -> None:
    prompts = [[1] * decoder.config.max_position_embeddings, [1] * 5]
    expected = [greedy(decoder, prompts[0], -1, 1), greedy(decoder, prompts[1], -1, 8)]
    never = next(token for token in range(99) if token not in expected[0] + expected[1])
    assert generate(decoder, prompts, eos_id=never, max_new_tokens=8) == expected


@torch.no_grad()
def test_prefill_keeps_the_last_state_of_each_row(decoder: DecoderLanguageModel) -> None:
    prompts = some_prompts(decoder.config.vocab_size)
    states = prefill(decoder, prompts, 0).last_states
    for state, prompt in zip(states, prompts, strict=True):
        logits = decoder(torch.tensor([prompt], dtype=torch.int32))[0, -1]
        torch.testing.assert_close(decoder.lm_head(state), logits, atol=1e-4, rtol=1e-4)


def test_common_prefix_leaves_an_id_of_each() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4], [1, 2, 5, 6]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[1], [2]]) == 0
    assert common_prefix([[1, 2, 3], [1, 5, 3]]) == 1


def test_batches_hold_each_item_once_and_stay_in_their_budget() -> None:
    lengths = [5, 50, 7, 300, 20, 20, 1]
    batches = list(batches_by_length(lengths, 100))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 100


def test_batches_are_as_large_as_their_budget_allows_longest_first() -> None:
    assert list(batches_by_length([5, 50, 7, 300, 20, 20, 1], 100)) == [[3], [1, 4], [5, 2, 0, 6]]
    assert list(batches_by_length([4096, 2048, 2048, 1], max_batch_tokens=MAX_BATCH_TOKENS)) == [
        [0],
        [1, 2],
        [3],
    ]
    assert list(batches_by_length([0, 0], 1)) == [[0], [1]]
    assert list(batches_by_length([1, 1, 1, 1], 4)) == [[0, 1, 2, 3]]
    assert list(batches_by_length([], 100)) == []


def test_the_bar_counts_the_items_of_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, int]] = []
    updates: list[int] = []

    @contextmanager
    def progress(title: str, unit: str, total: int) -> Iterator[SimpleNamespace]:
        begun.append((title, total))
        yield SimpleNamespace(update=updates.append)

    monkeypatch.setattr(batching, "progress", progress)
    list(batches_by_length([50, 5, 50], 100))
    list(batches_by_length([300], 100, "generate"))
    assert begun == [("score", 3), ("generate", 1)]
    assert updates == [2, 1, 1]


def test_the_decoder_reads_the_ids_of_training_in_the_fewest_columns(
    decoder: DecoderLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.dtype, tuple[int, ...]]] = []
    hidden_states = decoder.hidden_states

    def noted(ids: Tensor, **options: Any) -> Tensor:
        seen.append((ids.dtype, tuple(ids.shape)))
        return hidden_states(ids, **options)

    monkeypatch.setattr(decoder, "hidden_states", noted)
    choices = [[[5, 6], [7]], [[5, 6, 7], [8, 9]]]
    score_choices(decoder, [[1, 2, 3, 3], [4]], choices, pad_id=0, max_batch_tokens=100)
    # The prompts, and then all ids of the choices of a prompt but the last of each.
    assert seen == [(torch.int32, (2, 4)), (torch.int32, (2, 3))]


def test_choices_of_one_id_need_no_second_pass(
    decoder: DecoderLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second_pass(*_: object) -> None:
        raise AssertionError("a second pass")

    monkeypatch.setattr(score, "_later_tokens", second_pass)
    given = {"pad_id": 0, "max_batch_tokens": 100}
    ((first, second),) = score_choices(decoder, [[1, 2]], [[[4], [5]]], **given)
    expected = [by_forward_pass(decoder, [1, 2], [token]) for token in (4, 5)]
    assert [first, second] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(AssertionError, match="a second pass"):
        score_choices(decoder, [[1, 2]], [[[4, 5]]], **given)


def test_choices_count_in_the_length_of_a_batch(
    decoder: DecoderLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def note(lengths: list[int], max_batch_tokens: int) -> Iterator[list[int]]:
        asked.append(list(lengths))
        return batches_by_length(lengths, max_batch_tokens)

    monkeypatch.setattr(score, "batches_by_length", note)
    score_choices(
        decoder, [[1, 2], [3]], [[[4, 5], [6]], [[7]]], pad_id=0, max_batch_tokens=MAX_BATCH_TOKENS
    )
    assert asked == [[5, 2]]


def test_what_may_be_generated_counts_in_the_length_of_a_batch(
    decoder: DecoderLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[int], int, str]] = []

    def note(lengths: list[int], max_batch_tokens: int, title: str) -> Iterator[list[int]]:
        asked.append((list(lengths), max_batch_tokens, title))
        return batches_by_length(lengths, max_batch_tokens, title)

    monkeypatch.setattr(module_of_generate, "batches_by_length", note)
    generate(decoder, [[1, 2], [3]], eos_id=0, max_new_tokens=4, max_batch_tokens=70)
    assert asked == [([6, 5], 70, "generate")]


def test_too_long_a_prompt_is_an_error() -> None:
    check_lengths([95, 96], ["pmid 5", "pmid 6"], 96)
    with pytest.raises(DataError, match="pmid 7 with its answer has 97 tokens, allowed: at most"):
        check_lengths([96, 97], ["pmid 6", "pmid 7"], 96)


@pytest.mark.parametrize("num_text_ids", [3, 40])
def test_ids_without_text_are_never_generated(
    decoder: DecoderLanguageModel, num_text_ids: int
) -> None:
    def largest(limit: int | None) -> int:
        (found,) = generate(decoder, [[1, 2, 3]], eos_id=-1, max_new_tokens=12, num_text_ids=limit)
        return max(found)

    assert largest(num_text_ids) < num_text_ids
    assert largest(None) >= num_text_ids, "control"
