"""Predictions of tasks: constrained to legal answers, or generated and read strictly."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError, ConfigError, DataError
from mediswift_cs.evaluation import predict
from mediswift_cs.evaluation.batching import MAX_BATCH_TOKENS
from mediswift_cs.evaluation.loading import LoadedModel, load_model
from mediswift_cs.evaluation.predict import METHODS, Predictor, make_predictor
from mediswift_cs.evaluation.score import Choices, score_choices
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.tasks import hoc, pubmedqa
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.official_split import split_examples
from mediswift_cs.tasks.prompt_data import make_layout, write_prompt_data
from mediswift_cs.tasks.prompt_folder import PromptData, read_prompt_data
from mediswift_cs.tasks.prompt_layout import Position
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.tokenizer import fingerprint
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

from .predictors import MAX_POSITIONS, QUESTIONS, SETTINGS, predictor


def encode(asked: Predictor, text: str) -> list[int]:
    ids: list[int] = asked.tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def test_constrained_scores_are_those_of_whole_answers(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    """The stem is the same for all labels, so it moves all scores by the same number."""
    asked = predictor(toy_model, toy_tokenizer, "pubmedqa")
    found = asked.predict(QUESTIONS, "constrained")
    whole = [encode(asked, pubmedqa.answer_text(label)) for label in pubmedqa.LABELS]
    scores = score_choices(
        asked.decoder,
        asked.prompts(QUESTIONS),
        [whole] * len(QUESTIONS),
        pad_id=0,
        max_batch_tokens=MAX_BATCH_TOKENS,
    )
    for prediction, values in zip(found, scores, strict=True):
        ours = list(prediction.scores.values())
        shifts = [a - b for a, b in zip(values, ours, strict=True)]
        assert shifts == pytest.approx([shifts[0]] * 3, abs=1e-3)
        assert prediction.labels == (max(prediction.scores, key=prediction.scores.__getitem__),)
    # A model that gives every question the same answer would show little.
    assert len({p.labels for p in found}) > 1
    assert len({tuple(p.scores.values()) for p in found}) == len(QUESTIONS)


def test_hoc_answers_are_always_legal_and_stepwise_likeliest(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "hoc")
    examples = [
        replace(q, head="", context=q.context, target=hoc.answer_text([]), labels=())
        for q in QUESTIONS
    ]
    found = asked.predict(examples, "constrained")
    for prediction, example in zip(found, examples, strict=True):
        assert prediction.labels is not None
        answer = hoc.answer_text(prediction.labels)
        assert asked.task.parse_answer(answer) == prediction.labels
        assert list(prediction.labels) == sorted(prediction.labels, key=hoc.LABELS.index)
        # The score is that of the whole answer after the stem.
        stem, ids = encode(asked, hoc.ANSWER_STEM), encode(asked, answer)
        assert ids[: len(stem)] == stem
        prompt = [*asked.prompts([example])[0], *stem]
        ((score,),) = score_choices(
            asked.decoder,
            [prompt],
            [[ids[len(stem) :]]],
            pad_id=0,
            max_batch_tokens=MAX_BATCH_TOKENS,
        )
        assert prediction.scores["answer"] == pytest.approx(score, abs=1e-3)


def test_generated_answers_are_read_strictly(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "pubmedqa")
    found = asked.predict(QUESTIONS, "generate")
    # Random weights do not follow the form: nothing is guessed from what they say.
    assert all(p.labels is None and p.text is not None for p in found)
    assert asked.task.parse_answer(pubmedqa.answer_text("no")) == ("no",)
    assert asked.task.parse_answer("no") is None
    assert found[0].record()["predicted"] is None
    assert found[0].record()["text"] == found[0].text


def test_an_unknown_method_is_an_error(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "pubmedqa")
    with pytest.raises(ConfigError, match="got 'guess', allowed: constrained, generate"):
        asked.predict(QUESTIONS, "guess")  # type: ignore[arg-type]


def test_too_many_tokens_for_the_model_is_an_error(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "pubmedqa")
    longer = replace(asked, layout=replace(asked.layout, max_sequence_length=300))
    with pytest.raises(DataError, match=r"allowed: at most max_position_embeddings 96"):
        longer.predict([replace(QUESTIONS[-1], context=" cell" * 100)], "constrained")


def goes_on_listing(
    decoder: DecoderLanguageModel,
    prompts: Sequence[Sequence[int]],
    choices: Sequence[Choices],
    **options: Any,
) -> list[list[float]]:
    """Stands in for a model that likes no end of the list; the decoder runs all the same."""
    scores = score_choices(decoder, prompts, choices, **options)
    # Each choice ends with the separator or, the first one always, with the full stop.
    assert [len(values) for values in scores] == [len(steps) for steps in choices]
    return [[float(choice[-1] != steps[0][-1]) for choice in steps] for steps in choices]


def test_an_empty_answer_has_no_label(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for a model that likes the first choice best, which says that there is no label.
    monkeypatch.setattr(
        predict,
        "score_choices",
        lambda _, __, choices, **___: [[*range(0, -len(c), -1)] for c in choices],
    )
    (found,) = predictor(toy_model, toy_tokenizer, "hoc").predict(QUESTIONS[:1], "constrained")
    assert found.labels == ()
    assert found.record()["predicted"] == []


def test_the_longest_answer_needs_positions_after_each_prompt(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "pubmedqa")
    answers = ["yes", "yes or no, that is the question.", "no"]
    monkeypatch.setattr(type(asked.task), "longest_answers", lambda _: answers)
    longest = len(encode(asked, answers[1]))
    tight, wide = (
        replace(asked, layout=replace(asked.layout, num_answer_tokens=number)) for number in (1, 99)
    )
    # The end of the text follows the answer.
    assert tight.num_answer_tokens == longest + 1 > len(encode(asked, answers[2])) + 1
    assert wide.num_answer_tokens == 99
    checked: list[Any] = []
    monkeypatch.setattr(predict, "check_lengths", lambda *given: checked.append(given))
    prompts = tight.prompts(QUESTIONS)
    # The last id is only ever predicted.
    lengths = [len(prompt) + longest for prompt in prompts]
    assert checked == [(lengths, [example.id for example in QUESTIONS], MAX_POSITIONS)]


@pytest.mark.parametrize("position", ["infix", "prefix"])
def test_a_model_may_list_all_labels_after_a_truncated_prompt(
    toy_model: MediSwiftFineTuningModel,
    toy_tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: Position,
) -> None:
    document = hoc.HallmarksDocument(
        pmid="1",
        sentences=("Cells of mice divide, those of rats do not. " * 20,),
        sentence_labels=(frozenset(hoc.LABELS[:1]),),
    )
    task = HallmarksOfCancer(hoc_split="cambridge")
    splits, counts = split_examples(
        {"1": document}, {"test": ("1",)}, task.examples, "documents_read"
    )
    assert counts == {"documents_read": 1, "test": 1, "not_in_the_split": 0}
    _, lengths = write_prompt_data(
        splits,
        toy_tokenizer,
        tmp_path / "data",
        replace(SETTINGS, max_sequence_length=MAX_POSITIONS, position=position),
        task=task,
        counts=counts,
        sources=(),
        overwrite=False,
    )
    assert list(lengths.cut) == ["1"]
    data = read_prompt_data(tmp_path / "data")
    asked = replace(predictor(toy_model, toy_tokenizer, "hoc"), layout=data.layout)
    monkeypatch.setattr(predict, "score_choices", goes_on_listing)
    (found,) = asked.predict(data.examples("test"), "constrained")
    assert found.labels == hoc.LABELS
    # The whole answer takes every position that the prompt leaves, so not a word was cut in vain.
    (prompt,) = asked.prompts(data.examples("test"))
    assert len(prompt) + asked.num_answer_tokens - 1 == MAX_POSITIONS


def test_data_without_room_for_all_labels_is_an_error_at_once(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path
) -> None:
    asked = predictor(toy_model, toy_tokenizer, "hoc")
    tight = make_layout(
        replace(SETTINGS, max_sequence_length=MAX_POSITIONS),
        asked.tokenizer,
        [hoc.answer_text(hoc.LABELS[:1])],
    )
    example = replace(QUESTIONS[0], head="", context=" cell" * 200, target=hoc.answer_text([]))
    for method in METHODS:
        with pytest.raises(DataError, match=r"at most max_position_embeddings 96; prepare the"):
            replace(asked, layout=tight).predict([example], method)


@pytest.fixture
def data(tmp_path: Path, toy_tokenizer: Path) -> PromptData:
    write_prompt_data(
        {"train": QUESTIONS[:3], "val": QUESTIONS[3:]},
        toy_tokenizer,
        tmp_path / "data",
        SETTINGS,
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return read_prompt_data(tmp_path / "data")


def loaded(model: MediSwiftFineTuningModel, sha256: str | None) -> LoadedModel:
    return LoadedModel(model=model, path=Path("x.mdl"), step=1, tokenizer_sha256=sha256)


def test_model_and_data_must_fit(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path, data: PromptData
) -> None:
    sha256 = fingerprint(toy_tokenizer)
    fitting = make_predictor(loaded(toy_model, sha256), data, max_batch_tokens=70)
    assert fitting.max_batch_tokens == 70
    assert fitting.predict(QUESTIONS, "constrained")
    with pytest.raises(CheckpointError, match=f"tokenizer {sha256}, allowed: {'0' * 64}"):
        make_predictor(loaded(toy_model, "0" * 64), data)

    def with_layout(**changes: Any) -> PromptData:
        return replace(data, layout=replace(data.layout, **changes))

    for changes, message in (
        ({"num_virtual_tokens": 5}, "num_virtual_tokens, got 5, allowed: 3"),
        ({"position": "prefix"}, "position, got prefix, allowed: infix"),
        ({"vocab_size": 5000}, "vocab_size, got 5000, allowed: "),
    ):
        with pytest.raises(CheckpointError, match=message):
            make_predictor(loaded(toy_model, None), with_layout(**changes))


@torch.no_grad()
def test_the_prompt_of_an_evaluation_is_that_of_training(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path, data: PromptData
) -> None:
    import h5py

    asked = make_predictor(loaded(toy_model, None), data)
    with h5py.File(data.folder / "val" / "shard_00000.h5") as file:
        rows = file["data"][:]
    for row, prompt in zip(rows, asked.prompts(data.examples("val")), strict=True):
        assert row[0, : len(prompt)].tolist() == prompt
        assert row[1].argmax() == len(prompt) - 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_without_numbers_has_no_answers(
    toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path, tmp_path: Path, value: float
) -> None:
    """It would answer everything with the first label, which is often the majority."""
    broken = copy.deepcopy(toy_model)
    with torch.no_grad():
        broken.model.lm_head.weight[3, 3] = value
    with pytest.raises(CheckpointError, match=r"no numbers for \d of 6 prompts"):
        predictor(broken, toy_tokenizer, "pubmedqa").predict(QUESTIONS, "constrained")
    path = tmp_path / "checkpoint_1.mdl"
    save_checkpoint({"model": dict(broken.state_dict())}, path, write=mdl_state.write)
    with pytest.raises(CheckpointError, match=r"model\..* in the checkpoint .* is not finite"):
        load_model(path, toy_model.config)
