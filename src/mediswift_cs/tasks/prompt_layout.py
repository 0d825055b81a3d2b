"""How an example becomes token ids: source, soft prompt and answer in one sequence.

``prefix``: ``[soft prompt] source answer <eos>`` (Lester et al., 2021).
``infix``: ``source [soft prompt] answer <eos>`` (BioGPT).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks.example import Example
from mediswift_cs.tokens.hdf5 import MAX_TOKEN_ID, check_sequence_length

Position = Literal["prefix", "infix"]
LossOn = Literal["target", "all"]
POSITIONS: tuple[Position, ...] = get_args(Position)
LOSSES: tuple[LossOn, ...] = get_args(LossOn)


# What a manifest keeps of a layout; the rest of it the manifest has elsewhere.
DESCRIBED = ("vocab_size", "num_virtual_tokens", "position", "loss_on", "num_answer_tokens")


class Source(NamedTuple):
    """The token ids of what the model reads, and how many were cut from its context."""

    ids: list[int]
    num_cut: int


@dataclass(frozen=True, kw_only=True)
class PromptLayout:
    """The arrangement of one data set; shapes never depend on an example.

    Attributes:
        vocab_size: rows of the model's word embedding. Virtual token i has the id vocab_size + i.
        eos_id: ends each answer, and pads.
        max_sequence_length: ids that the model reads, the soft prompt and padding included.
        num_answer_tokens: room that is kept for the answer, its end-of-text token included. It is
            one number for all examples, so that how much context is cut says nothing about an
            answer.
        loss_on: whether the source's tokens count in the loss as well.
    """

    vocab_size: int
    eos_id: int
    max_sequence_length: int
    num_answer_tokens: int
    num_virtual_tokens: int = 0
    position: Position = "infix"
    loss_on: LossOn = "target"

    def __post_init__(self) -> None:
        if self.position not in POSITIONS:
            raise ConfigError(f"position: got {self.position!r}, allowed: {', '.join(POSITIONS)}")
        if self.loss_on not in LOSSES:
            raise ConfigError(f"loss_on: got {self.loss_on!r}, allowed: {', '.join(LOSSES)}")
        if self.num_virtual_tokens < 0:
            raise ConfigError(
                f"num_virtual_tokens: got {self.num_virtual_tokens}, allowed: at least 0"
            )
        if self.vocab_size + self.num_virtual_tokens > MAX_TOKEN_ID:
            raise ConfigError(
                f"vocab_size + num_virtual_tokens: got {self.vocab_size} + "
                f"{self.num_virtual_tokens}, allowed: at most {MAX_TOKEN_ID} together"
            )
        check_sequence_length(self.max_sequence_length)

    def description(self) -> dict[str, int | str]:
        """What a manifest keeps of the layout."""
        return {key: getattr(self, key) for key in DESCRIBED}

    @property
    def virtual_ids(self) -> list[int]:
        """The ids that stand for the soft prompt."""
        return list(range(self.vocab_size, self.vocab_size + self.num_virtual_tokens))

    def encode_source(self, tokenizer: Tokenizer, example: Example) -> Source:
        """The source's ids, its context cut at the end where the whole would be too long.

        Raises:
            DataError: without any context it would still be too long.
        """
        # Cut at spaces, the three parts have the same ids as the whole text.
        head, context, tail = (
            tokenizer.encode(text, add_special_tokens=False).ids
            for text in (example.head, example.context, example.tail)
        )
        # The last id of the answer is only ever a label.
        room = self.max_sequence_length + 1 - self.num_virtual_tokens - self.num_answer_tokens
        kept = room - len(head) - len(tail)
        if kept < min(1, len(context)):
            needed = self.max_sequence_length + (min(1, len(context)) - kept)
            raise DataError(
                f"{example.id} is too long: its question, soft prompt and answer, which are never "
                f"cut, need {needed} tokens, allowed: max_sequence_length "
                f"{self.max_sequence_length}"
            )
        return Source([*head, *context[:kept], *tail], max(0, len(context) - kept))

    def prompt(self, source_ids: Sequence[int]) -> list[int]:
        """The ids of everything that stands before the answer."""
        if self.position == "prefix":
            return [*self.virtual_ids, *source_ids]
        return [*source_ids, *self.virtual_ids]

    def sample(self, source_ids: Sequence[int], answer_ids: Sequence[int]) -> npt.NDArray[np.int32]:
        """int32 [3, max_sequence_length]: input_ids, loss_mask, labels, padded at the end."""
        assert len(answer_ids) < self.num_answer_tokens
        prompt = self.prompt(source_ids)
        sequence = np.array([*prompt, *answer_ids, self.eos_id], dtype=np.int32)
        num_inputs = len(sequence) - 1
        assert num_inputs <= self.max_sequence_length
        sample = np.full((3, self.max_sequence_length), self.eos_id, dtype=np.int32)
        sample[1] = 0
        sample[0, :num_inputs] = sequence[:-1]
        labels = sequence[1:]
        is_text = labels < self.vocab_size
        # No head predicts a virtual token.
        sample[2, :num_inputs] = np.where(is_text, labels, self.eos_id)
        first_counted = 0 if self.loss_on == "all" else len(prompt) - 1
        sample[1, first_counted:num_inputs] = is_text[first_counted:]
        return sample
