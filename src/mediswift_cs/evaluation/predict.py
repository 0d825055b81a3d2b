"""Predictions of a model for the examples of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tokenizers import Tokenizer

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.evaluation.batching import MAX_BATCH_TOKENS, check_lengths
from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.loading import LoadedModel
from mediswift_cs.evaluation.score import common_prefix, score_choices
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.tasks import artificial, hoc, pubmedqa
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptData
from mediswift_cs.tasks.prompt_layout import PromptLayout

Method = Literal["constrained", "generate"]
METHODS: tuple[Method, ...] = ("constrained", "generate")

# The closed sets of answers, by task.
ONE_OF: dict[str, tuple[str, ...]] = {
    "pubmedqa": pubmedqa.LABELS,
    artificial.TASK: artificial.LABELS,
}
TASKS = (*ONE_OF, "hoc")


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

    def record(self) -> dict[str, Any]:
        """One JSON line."""
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
    task: str
    max_batch_tokens: int = MAX_BATCH_TOKENS

    def predict(self, examples: Sequence[Example], method: Method) -> list[Prediction]:
        """One prediction an example, in their order; each has a labelled answer.

        Raises:
            ConfigError: an unknown task or method.
            DataError: an example is too long.
        """
        if method not in METHODS:
            raise ConfigError(f"method: got {method!r}, allowed: {', '.join(METHODS)}")
        if self.task not in TASKS:
            raise ConfigError(f"task: got {self.task!r}, allowed: {', '.join(TASKS)}")
        if method == "generate":
            return self._generated(examples)
        if self.task == "hoc":
            return self._constrained_sets(examples)
        return self._constrained(examples, ONE_OF[self.task])

    @property
    def num_answer_tokens(self) -> int:
        """Ids of the longest answer that the model may give, its end-of-text token included."""
        room = self.layout.num_answer_tokens
        if self.task == "hoc":
            # The data may keep room for its own answers only, and a model may list more labels.
            room = max(room, len(self._encode(hoc.LONGEST_ANSWER)) + 1)
        return room

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

    def _constrained(
        self, examples: Sequence[Example], labels: tuple[str, ...]
    ) -> list[Prediction]:
        answers = [self._encode(pubmedqa.answer_text(label)) for label in labels]
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
        stem = self._encode(hoc.ANSWER_STEM)
        prompts = [[*prompt, *stem] for prompt in self.prompts(examples)]
        chosen: list[list[str]] = [[] for _ in examples]
        scores = [0.0] * len(examples)
        is_open = list(range(len(examples)))
        while is_open:
            steps = [legal_steps(chosen[index]) for index in is_open]
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
            Prediction(example=example, labels=self.parse(text), text=text)
            for example, text in zip(examples, texts, strict=True)
        ]

    def parse(self, text: str) -> tuple[str, ...] | None:
        """The labels that a generated answer states; None unless it follows the task's form."""
        if self.task == "hoc":
            labels = hoc.parse_answer(text)
            return None if labels is None else tuple(x for x in hoc.LABELS if x in labels)
        label = pubmedqa.parse_answer(text)
        return None if label is None else (label,)

    def _score(
        self, prompts: list[list[int]], choices: Sequence[Sequence[list[int]]]
    ) -> list[list[float]]:
        return score_choices(
            self.decoder,
            prompts,
            choices,
            pad_id=self.layout.eos_id,
            max_batch_tokens=self.max_batch_tokens,
        )


def legal_steps(chosen: Sequence[str]) -> list[tuple[str, str | None, bool]]:
    """What may follow in a HoC answer: text, label (None for "empty"), whether more follows."""
    first = hoc.LABELS.index(chosen[-1]) + 1 if chosen else 0
    lead = "" if chosen else " "
    steps: list[tuple[str, str | None, bool]] = []
    if not chosen:
        steps.append((f"{lead}{hoc.EMPTY}.", None, False))
    for number, label in enumerate(hoc.LABELS[first:], start=first):
        steps.append((f"{lead}{label}.", label, False))
        if number < len(hoc.LABELS) - 1:
            steps.append((f"{lead}{label}{hoc.SEPARATOR}", label, True))
    return steps


def make_predictor(
    loaded: LoadedModel, data: PromptData, max_batch_tokens: int = MAX_BATCH_TOKENS
) -> Predictor:
    """Bring a model and data together.

    Raises:
        CheckpointError: they have different tokenizers, vocabularies or soft prompts.
    """
    config, layout = loaded.model.config, data.layout
    sha256 = data.manifest.tokenizer.sha256
    if loaded.tokenizer_sha256 not in (None, sha256):
        raise CheckpointError(
            f"the examples in {data.folder} were made with tokenizer {sha256}, allowed: "
            f"{loaded.tokenizer_sha256}, the one that {loaded.path} was trained with"
        )
    prompt = config.soft_prompt
    num_virtual = 0 if prompt is None else prompt.num_virtual_tokens
    expected: list[tuple[str, object, object]] = [
        ("num_virtual_tokens", layout.num_virtual_tokens, num_virtual)
    ]
    if prompt is not None:
        expected.append(("position", layout.position, prompt.position))
        expected.append(("vocab_size", layout.vocab_size, config.vocab_size))
    for key, got, allowed in expected:
        if got != allowed:
            raise CheckpointError(
                f"the examples in {data.folder} must be made for the model's {key}, got {got}, "
                f"allowed: {allowed}, that of {loaded.path}"
            )
    if data.manifest.tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"the examples in {data.folder} have {data.manifest.tokenizer.vocab_size} token ids, "
            f"allowed: at most the {config.vocab_size} of {loaded.path}"
        )
    return Predictor(
        decoder=loaded.model.model,
        tokenizer=data.tokenizer,
        layout=layout,
        task=data.task,
        max_batch_tokens=max_batch_tokens,
    )
