"""Predictions of a model for the examples of a task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tokenizers import Tokenizer

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.evaluation.batching import MAX_BATCH_TOKENS, check_lengths
from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.loading import LoadedModel
from mediswift_cs.evaluation.score import common_prefix, score_choices
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.params.data_rules import prompt_disagreements
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_folder import PromptData
from mediswift_cs.tasks.prompt_layout import PromptLayout
from mediswift_cs.tasks.task import Answered, Task
from mediswift_cs.tokens.fingerprint_check import check_trained_with

Method = Literal["constrained", "generate"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model answered.

    Attributes:
        labels: None where a generated answer could not be read.
        scores: log-likelihood (nats) of each answer, with the constrained method.
        text: what was generated, with the generating method.
    """

    example: Example
    labels: tuple[str, ...] | None
    scores: dict[str, float] = field(default_factory=dict)
    text: str | None = None

    @property
    def is_tied(self) -> bool:
        """Whether the model likes two answers best alike, so that their order decided."""
        best = sorted(self.scores.values())[-2:]
        return len(best) == 2 and best[0] == best[1]

    def answered(self) -> Answered:
        """The labels of the example and of the answer, as scores need them."""
        labels = None if self.labels is None else frozenset(self.labels)
        return Answered(self.example.document, frozenset(self.example.labels), labels)

    def record(self) -> dict[str, Any]:
        """The prediction as one line of ``predictions.jsonl`` holds it."""
        record: dict[str, Any] = {
            "id": self.example.id,
            "pmid": self.example.document,
            "gold": list(self.example.labels),
            "predicted": None if self.labels is None else list(self.labels),
        }
        if self.scores:
            record["log_likelihood"] = self.scores
        if self.text is not None:
            record["text"] = self.text
        return record


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A model with the tokenizer and the layout of the data that it is asked about."""

    decoder: DecoderLanguageModel
    tokenizer: Tokenizer
    layout: PromptLayout
    task: Task
    max_batch_tokens: int = MAX_BATCH_TOKENS

    def predict(self, examples: Sequence[Example], method: Method) -> list[Prediction]:
        """One prediction an example, in their order; each has a labelled answer.

        Raises:
            ConfigError: an unknown method.
            DataError: an example is too long.
        """
        if method not in METHODS:
            raise ConfigError(f"method: got {method!r}, allowed: {', '.join(METHODS)}")
        if method == "generate":
            return self._generated(examples)
        if self.task.has_label_sets:
            return self._constrained_sets(examples)
        return self._constrained(examples)

    @property
    def num_answer_tokens(self) -> int:
        """Ids of the longest answer that the model may give, its end-of-text token included."""
        # Data that was prepared otherwise may keep less room than the task's longest answer needs.
        longest = max(len(self._encode(text)) for text in self.task.longest_answers())
        return max(self.layout.num_answer_tokens, longest + 1)

    def prompts(self, examples: Sequence[Example]) -> list[list[int]]:
        """The ids before each answer, as in training.

        Raises:
            DataError: an example is too long, or leaves no positions for the longest answer.
        """
        prompts = [
            self.layout.prompt(self.layout.encode_source(self.tokenizer, example).ids)
            for example in examples
        ]
        # The last id of an answer is only ever predicted.
        lengths = [len(prompt) + self.num_answer_tokens - 1 for prompt in prompts]
        names = [example.id for example in examples]
        check_lengths(lengths, names, self.decoder.config.max_position_embeddings)
        return prompts

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _constrained(self, examples: Sequence[Example]) -> list[Prediction]:
        labels = self.task.labels
        answers = [self._encode(self.task.answer_text((label,))) for label in labels]
        shared = common_prefix(answers)
        prompts = [[*prompt, *answers[0][:shared]] for prompt in self.prompts(examples)]
        endings = [answer[shared:] for answer in answers]
        scores = self._score(prompts, [endings] * len(prompts))
        return [
            Prediction(
                example=example,
                labels=(labels[max(range(len(labels)), key=values.__getitem__)],),
                scores=dict(zip(labels, values, strict=True)),
            )
            for example, values in zip(examples, scores, strict=True)
        ]

    def _constrained_sets(self, examples: Sequence[Example]) -> list[Prediction]:
        """Label sets, label by label in their order: each step takes the likeliest legal one."""
        stem = self._encode(self.task.stem)
        prompts = [[*prompt, *stem] for prompt in self.prompts(examples)]
        chosen: list[list[str]] = [[] for _ in examples]
        scores = [0.0] * len(examples)
        is_open = list(range(len(examples)))
        while is_open:
            steps = [self.task.next_steps(chosen[index]) for index in is_open]
            options = [[self._encode(text) for text, _, _ in step] for step in steps]
            found = self._score([prompts[index] for index in is_open], options)
            still_open = []
            for index, step, ids, values in zip(is_open, steps, options, found, strict=True):
                best = max(range(len(step)), key=values.__getitem__)
                _, label, goes_on = step[best]
                scores[index] += values[best]
                prompts[index] = [*prompts[index], *ids[best]]
                if label is not None:
                    chosen[index].append(label)
                if goes_on:
                    still_open.append(index)
            is_open = still_open
        return [
            Prediction(example=example, labels=tuple(labels), scores={"answer": score})
            for example, labels, score in zip(examples, chosen, scores, strict=True)
        ]

    def _generated(self, examples: Sequence[Example]) -> list[Prediction]:
        answers = generate(
            self.decoder,
            self.prompts(examples),
            eos_id=self.layout.eos_id,
            max_new_tokens=self.num_answer_tokens,
            max_batch_tokens=self.max_batch_tokens,
        )
        texts = [self.tokenizer.decode(ids) for ids in answers]
        return [
            Prediction(example=example, labels=self.task.parse_answer(text), text=text)
            for example, text in zip(examples, texts, strict=True)
        ]

    def _score(
        self, prompts: list[list[int]], choices: Sequence[Sequence[list[int]]]
    ) -> list[list[float]]:
        scores = score_choices(
            self.decoder,
            prompts,
            choices,
            pad_id=self.layout.eos_id,
            max_batch_tokens=self.max_batch_tokens,
        )
        num_broken = sum(any(map(math.isnan, values)) for values in scores)
        if num_broken:
            raise CheckpointError(
                f"the model gives likelihoods that are no numbers for {num_broken} of "
                f"{len(scores)} prompts, allowed: none, so it has no answers"
            )
        return scores


def make_predictor(
    loaded: LoadedModel, data: PromptData, max_batch_tokens: int = MAX_BATCH_TOKENS
) -> Predictor:
    """Bring a model and prepared data together.

    Raises:
        CheckpointError: they have different tokenizers, vocabularies or soft prompts.
    """
    what = f"the examples in {data.folder}"
    check_trained_with(
        data.manifest.tokenizer.sha256,
        loaded.tokenizer_sha256,
        f"{what} were made with tokenizer",
        loaded.path,
    )
    check_fit(loaded, data.layout, data.manifest.tokenizer.vocab_size, what)
    return Predictor(
        decoder=loaded.model.model,
        tokenizer=data.tokenizer,
        layout=data.layout,
        task=data.task,
        max_batch_tokens=max_batch_tokens,
    )


def check_fit(loaded: LoadedModel, layout: PromptLayout, num_ids: int, what: str) -> None:
    """See that a model can read prompts of a layout.

    Args:
        num_ids: of the tokenizer.
        what: whose layout it is, for the message.

    Raises:
        CheckpointError: another soft prompt, or more ids than the model's vocabulary has.
    """
    config = loaded.model.config
    for key, got, allowed in prompt_disagreements(layout.description(), config):
        raise CheckpointError(
            f"{what} must be made for the model's {key}, got {got}, allowed: {allowed}, that of "
            f"{loaded.path}"
        )
    if num_ids > config.vocab_size:
        raise CheckpointError(
            f"{what} have {num_ids} token ids, allowed: at most the {config.vocab_size} of "
            f"{loaded.path}"
        )
