"""Where each token of an example goes."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_layout import PromptLayout
from mediswift_cs.tasks.pubmedqa import question_example
from mediswift_cs.tokens.tokenizer import load_tokenizer

V, EOS = 100, 99


def layout(**changes: object) -> PromptLayout:
    return PromptLayout(
        **{
            "vocab_size": V,
            "eos_id": EOS,
            "max_sequence_length": 10,
            "num_answer_tokens": 3,
            "num_virtual_tokens": 2,
            **changes,  # type: ignore[arg-type]
        }
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 2**31 - 2}, r"got 2147483646 \+ 2, allowed: at most 2147483647 together"),
        ({"vocab_size": 99999999999}, r"vocab_size \+ num_virtual_tokens: got 99999999999 \+ 2"),
        ({"num_virtual_tokens": 10**12}, r"got 100 \+ 1000000000000"),
        ({"max_sequence_length": 0}, "got 0, allowed: 1 to 1048576"),
        ({"max_sequence_length": -5}, "got -5, allowed: 1 to 1048576"),
        ({"max_sequence_length": 99999999999}, "got 99999999999, allowed: 1 to 1048576"),
    ],
)
def test_numbers_out_of_range(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layout(**changes)


def test_infix_sample() -> None:
    ids, mask, labels = layout().sample([1, 2, 3], [7, 8]).tolist()
    assert ids == [1, 2, 3, 100, 101, 7, 8, 99, 99, 99]
    # The last virtual token predicts the answer's first; the answer's last predicts the end.
    assert mask == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert labels == [2, 3, 99, 99, 7, 8, 99, 99, 99, 99]


def test_prefix_sample() -> None:
    ids, mask, labels = layout(position="prefix").sample([1, 2, 3], [7, 8]).tolist()
    assert ids == [100, 101, 1, 2, 3, 7, 8, 99, 99, 99]
    assert mask == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert labels == [99, 1, 2, 3, 7, 8, 99, 99, 99, 99]


def test_loss_on_all_counts_every_word_but_no_virtual_token() -> None:
    _, mask, labels = layout(loss_on="all").sample([1, 2, 3], [7, 8]).tolist()
    assert mask == [1, 1, 0, 0, 1, 1, 1, 0, 0, 0]
    _, mask, _ = layout(loss_on="all", position="prefix").sample([1, 2, 3], [7, 8]).tolist()
    assert mask == [0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert max(labels) < V


def test_no_soft_prompt_is_a_plain_sequence() -> None:
    for position in ("prefix", "infix"):
        ids, mask, _ = layout(num_virtual_tokens=0, position=position).sample([1], [7]).tolist()
        assert ids == [1, 7, *[99] * 8]
        assert mask == [1, 1, *[0] * 8]


def test_labels_are_the_inputs_shifted_by_one() -> None:
    sample = layout(position="prefix").sample([5, 6], [7, 8])
    counted = sample[1, :-1].astype(bool)
    np.testing.assert_array_equal(sample[0, 1:][counted], sample[2, :-1][counted])
    assert sample.dtype == np.int32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": "suffix"}, "got 'suffix', allowed: prefix, infix"),
        ({"loss_on": "source"}, "got 'source', allowed: target, all"),
        ({"num_virtual_tokens": -1}, "got -1, allowed: at least 0"),
    ],
)
def test_bad_settings_are_errors(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layout(**changes)


@pytest.fixture(scope="module")
def gpt2(shared_data: Path) -> Tokenizer:
    return load_tokenizer(shared_data / "tokenizers" / "gpt2")


def question(num_words: int, long_answer: str = "") -> Example:
    return question_example(
        "7",
        question="Does it work?",
        contexts=["cell " * num_words],
        label="yes",
        long_answer=long_answer,
    )


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_parts_have_the_ids_of_the_whole(gpt2: Tokenizer) -> None:
    example = question(50, long_answer="It does, in 5% (n=3).")
    roomy = layout(vocab_size=50257, max_sequence_length=300)
    source = roomy.encode_source(gpt2, example)
    assert source.ids == encode(gpt2, example.source)
    assert source.num_cut == 0
    assert encode(gpt2, example.source + example.target) == [
        *source.ids,
        *encode(gpt2, example.target),
    ]


@pytest.mark.parametrize("long_answer", ["", "It does."])
def test_the_context_is_cut_and_nothing_else(gpt2: Tokenizer, long_answer: str) -> None:
    example = question(200, long_answer)
    answer = encode(gpt2, example.target)
    tight = layout(vocab_size=50257, max_sequence_length=60, num_answer_tokens=len(answer) + 1)
    source = tight.encode_source(gpt2, example)
    assert source.num_cut == len(encode(gpt2, example.source)) - len(source.ids) > 100
    text = gpt2.decode(source.ids)
    assert text.startswith("question: Does it work? context: cell")
    assert text.endswith(f"cell answer: {long_answer}" if long_answer else " cell")
    # The whole room is used: the last id of the answer is a label only.
    sample = tight.sample(source.ids, answer)
    assert sample[1, -1] == 1
    assert (sample[0, -1], sample[2, -1]) == (answer[-1], EOS)


def test_a_question_that_does_not_fit_is_an_error(gpt2: Tokenizer) -> None:
    short = layout(vocab_size=50257, max_sequence_length=12)
    with pytest.raises(DataError, match=r"7 is too long: .* need 13 tokens, allowed: max_sequence"):
        short.encode_source(gpt2, question(3))
    enough = layout(vocab_size=50257, max_sequence_length=13)
    assert enough.encode_source(gpt2, question(3)).num_cut == 2
