"""An answer and its probabilities; what a continued text may have; where data is looked for."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.evaluation import ask as module
from mediswift_cs.evaluation.ask import Answer, AskOptions, Continuer, open_model
from mediswift_cs.evaluation.loading import LoadedModel
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel, build_model
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.tokenizer import load_tokenizer, vocab_size

from .conftest import MAX_POSITIONS, toy_config
from .models_to_ask import CONTEXT, prepare, save_model


def test_probabilities_are_shares_of_all_choices() -> None:
    # Far below what exp can say.
    far = {"yes": math.log(0.25) - 1000, "no": math.log(0.75) - 1000}
    answer = Answer(question="Is it?", text="no\n or\tso", log_likelihood=far, num_cut=3)
    assert answer.probabilities == pytest.approx({"yes": 0.25, "no": 0.75})
    assert answer.line() == "no or so  (yes 0.250, no 0.750)"
    assert answer.record() == {
        "question": "Is it?",
        "answer": "no\n or\tso",
        "probabilities": answer.probabilities,
        "log_likelihood": far,
        "num_cut": 3,
    }
    alone: dict[str, float]
    for alone in ({}, {"answer": -1.0}):
        answer = Answer(question="", text="it", log_likelihood=alone)
        assert answer.probabilities == {}
        assert answer.line() == "it"
        assert answer.record()["num_cut"] == 0


class Words:
    """A tokenizer of which each word is the id 1."""

    def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
        assert not add_special_tokens
        return SimpleNamespace(ids=[1] * len(text.split()))

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))

    def token_to_id(self, token: str) -> int:
        return 7


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was given to a model that goes on with 4 and 5."""
    noted: list[dict[str, Any]] = []

    def generate(decoder: Any, prompts: list[list[int]], **options: Any) -> list[list[int]]:
        noted.append({"prompts": prompts, **options})
        return [[4, 5]]

    monkeypatch.setattr(module, "generate", generate)
    monkeypatch.setattr(module, "vocab_size", lambda tokenizer: tokenizer.size)
    return noted


def continuer(model: MediSwiftFineTuningModel, size: int) -> Continuer:
    words: Any = Words()
    words.size = size
    loaded = LoadedModel(model=model, path=Path("a.mdl"), step=1, tokenizer_sha256=None)
    return Continuer(loaded=loaded, tokenizer=words, max_new_tokens=6)


def test_a_text_is_continued_from_its_soft_prompt_on(
    toy_model: MediSwiftFineTuningModel, generated: list[dict[str, Any]]
) -> None:
    size = toy_model.config.vocab_size
    virtual = [size, size + 1, size + 2]
    answer = continuer(toy_model, 50).answer("one two", "line 1", context="before")
    assert (answer.question, answer.text, answer.log_likelihood) == ("one two", "4 5", {})
    expected = {"prompts": [[1, 1, 1, *virtual]], "eos_id": 7, "max_new_tokens": 6}
    assert generated == [{**expected, "num_text_ids": 50}]
    continuer(toy_model, size + 9).answer("one", "line 1")
    assert generated[1] == {**expected, "prompts": [[1, *virtual]], "num_text_ids": size}


def test_a_text_leaves_a_position_and_is_not_empty(
    toy_model: MediSwiftFineTuningModel, generated: list[dict[str, Any]]
) -> None:
    prompted = continuer(toy_model, 50)
    prompted.answer("word " * (MAX_POSITIONS - 4), "line 1")
    assert len(generated[0]["prompts"][0]) == MAX_POSITIONS - 1
    message = "line 2 has 96 tokens, its soft prompt included, allowed: 1 to 95, to go on"
    with pytest.raises(DataError, match=message):
        prompted.answer("word " * (MAX_POSITIONS - 3), "line 2")
    plain = build_model(toy_config(50, soft_prompt=None))
    assert isinstance(plain, MediSwiftFineTuningModel)
    continuer(plain, 50).answer("word", "line 1")
    assert generated[-1]["prompts"] == [[1]]
    with pytest.raises(DataError, match="line 3 has 0 tokens"):
        continuer(plain, 50).answer("", "line 3")


def test_training_data_is_looked_for_here_and_then_above_the_checkpoint(
    tmp_path: Path, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    checkpoint = Path("there") / "run" / "a.mdl"

    def found() -> Path | None:
        params = {"trainer": {"fit": {"train_dataloader": {"data_dir": "data/train"}}}}
        return module._training_data(params, checkpoint)

    assert found() is None
    assert module._training_data({}, checkpoint) is None
    for folder in (tmp_path / "there", Path()):
        prepare(folder / "data", toy_tokenizer, PubMedQA(), CONTEXT)
        nearest = found()
        assert nearest is not None
        assert nearest.is_relative_to(folder)
    assert str(nearest).startswith("data"), "here comes first"


def test_a_tokenizer_may_have_as_many_ids_as_the_model(tmp_path: Path, toy_tokenizer: Path) -> None:
    number = vocab_size(load_tokenizer(toy_tokenizer))
    path = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    options = AskOptions(source=path, tokenizer=toy_tokenizer)
    opened = open_model(options)
    assert isinstance(opened, Continuer)
    assert (opened.max_new_tokens, opened.loaded.path) == (64, path)
    assert opened.note.startswith(f"the task of {path} is not known here")
    path = save_model(tmp_path / "b.mdl", toy_tokenizer, None, vocab_size=number - 1)
    with pytest.raises(
        CheckpointError, match=f"{number} ids, allowed: at most the .*{number - 1} of"
    ):
        open_model(AskOptions(source=path, tokenizer=toy_tokenizer))
    plain = {"name": "mediswift", "soft_prompt": None}
    path = save_model(tmp_path / "c.mdl", toy_tokenizer, None, **plain)
    opened = open_model(AskOptions(source=path, tokenizer=toy_tokenizer, max_new_tokens=3))
    assert (opened.note, opened.max_new_tokens) == ("", 3)  # type: ignore[union-attr]


def test_an_export_whose_layout_is_not_its_models_is_refused(
    tmp_path: Path, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    convert(checkpoint, tmp_path / "export", ConvertOptions(verify=False))
    opened = open_model(AskOptions(source=tmp_path / "export"))
    assert opened.about == "PubMedQA: yes, no, maybe"
    read = module.read_prompt_options

    def another(*given: Any, **options: Any) -> Any:
        layout, task = read(*given, **options)
        return replace(layout, num_virtual_tokens=5), task

    monkeypatch.setattr(module, "read_prompt_options", another)
    with pytest.raises(CheckpointError, match="num_virtual_tokens, got 5, allowed: 3"):
        open_model(AskOptions(source=tmp_path / "export"))
