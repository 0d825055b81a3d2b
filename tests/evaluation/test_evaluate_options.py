"""What mediswift evaluate does with each of its options, with answers that are given."""

import json
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.evaluation import evaluate_task as module
from mediswift_cs.evaluation.evaluate_task import EvaluationOptions, check_options, evaluate
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.classification import MultiLabelClassification
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.prompt_folder import PromptData
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

LABELS = ("yes", "no")


def prepare(folder: Path, tokenizer: Path, task: Task, **splits: str) -> Path:
    """Examples with these labels, y or n, besides one to train on."""
    names = {"y": "yes", "n": "no"}
    examples: dict[str, list[Example]] = {}
    for split, letters in {"train": "y", **splits}.items():
        examples[split] = [
            replace(
                pubmedqa.question_example(
                    f"{split}{number}", question="Is it?", contexts=["It is."], label=names[letter]
                ),
                target=task.answer_text((names[letter],)),
            )
            for number, letter in enumerate(letters)
        ]
    settings = PromptSettings(max_sequence_length=90, num_virtual_tokens=3)
    write_prompt_data(
        examples,
        tokenizer,
        folder,
        settings,
        task=task,
        counts={},
        sources=(),
        overwrite=False,
    )
    return folder


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that are complete, and no models."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mdl", "a0.mdl", "a1.mdl"):
        save_checkpoint({"model": {}}, tmp_path / name, write=mdl_state.write)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str, int]]:
    """Each time that a model was asked: its checkpoint, its data, and the number of examples."""
    noted: list[tuple[str | None, str, int]] = []

    def always_yes(
        options: EvaluationOptions,
        checkpoint: str | None,
        data: PromptData,
        examples: list[Example],
    ) -> list[Prediction]:
        noted.append((checkpoint, data.folder.name, len(examples)))
        return [Prediction(example=example, labels=("yes",)) for example in examples]

    monkeypatch.setattr(module, "_predictions", always_yes)
    return noted


def test_folds_give_mean_and_spread(
    tmp_path: Path, toy_tokenizer: Path, asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, labels in enumerate(("yyyn", "nny")):
        prepare(tmp_path / f"data{number}", toy_tokenizer, PubMedQA(), val=labels)
    options = EvaluationOptions(
        data="data{fold}", checkpoint="a{fold}.mdl", num_folds=2, output=tmp_path / "out"
    )
    assert evaluate(options) == 0
    assert asked == [("a0.mdl", "data0", 4), ("a1.mdl", "data1", 3)]
    scores, baselines = [3 / 4, 1 / 3], [3 / 4, 2 / 3]
    spread = statistics.stdev(scores)
    assert json.loads((tmp_path / "out" / "folds.json").read_text()) == {
        "metric": "accuracy",
        "split": "val",
        "method": "constrained",
        "folds": pytest.approx(scores),
        "mean": pytest.approx(sum(scores) / 2),
        "standard_deviation": pytest.approx(spread),
        "minimum": pytest.approx(1 / 3),
        "maximum": 0.75,
        "mean_baseline": pytest.approx(sum(baselines) / 2),
    }
    assert capsys.readouterr().out.splitlines() == [
        "fold 0: accuracy 0.7500, baseline 0.7500",
        "fold 1: accuracy 0.3333, baseline 0.6667",
        "accuracy over 2 folds, split val: mean 0.5417, standard deviation 0.2946, "
        "0.3333 to 0.7500, mean baseline 0.7083",
    ]
    for number, score in enumerate(scores):
        written = json.loads((tmp_path / "out" / f"fold{number}" / "scores.json").read_text())
        assert written["scores"]["accuracy"] == pytest.approx(score)


@pytest.mark.parametrize(
    ("method", "checkpoint", "folder"),
    [
        ("constrained", "a.mdl", "evaluation/a_pubmedqa_val_constrained"),
        ("tfidf", None, "evaluation/data_pubmedqa_val_tfidf"),
    ],
)
def test_results_are_beside_the_checkpoint_or_the_data_and_name_their_options(
    tmp_path: Path,
    toy_tokenizer: Path,
    asked: list[Any],
    capsys: pytest.CaptureFixture[str],
    method: str,
    checkpoint: str | None,
    folder: str,
) -> None:
    prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), val="yn")
    assert evaluate(EvaluationOptions(data="data", method=method, checkpoint=checkpoint)) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"pubmedqa, split val, {method}, 2 items of 2 documents"
    assert last == folder
    scores = json.loads((tmp_path / folder / "scores.json").read_text())
    assert scores["options"] == {
        "task": "pubmedqa",
        "split": "val",
        "method": method,
        "convention": None,
        "checkpoint": checkpoint and str(tmp_path / checkpoint),
        "data": str(tmp_path / "data"),
        "params": None,
    }


def test_a_task_with_conventions_has_a_folder_for_each(
    tmp_path: Path, toy_tokenizer: Path, asked: list[Any]
) -> None:
    task = MultiLabelClassification(labels=LABELS)
    prepare(tmp_path / "data", toy_tokenizer, task, val="y", test="yn")
    for convention, name in ((None, task.conventions[0]), (task.conventions[1],) * 2):
        options = EvaluationOptions(data="data", checkpoint="a.mdl", convention=convention)
        assert evaluate(options) == 0
        folder = tmp_path / "evaluation" / f"a_{task.name}_test_constrained_{name}"
        written = json.loads((folder / "scores.json").read_text())
        assert name in written["metric"]
        assert written["options"]["convention"] == name
    # The test set where there is one.
    assert asked == [("a.mdl", "data", 2)] * 2
    assert evaluate(EvaluationOptions(data="data", checkpoint="a.mdl", split="val")) == 0
    assert asked[2:] == [("a.mdl", "data", 1)]


def test_options_reach_the_model(
    tmp_path: Path, toy_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), val="yn")
    noted: list[Any] = []

    def predict(examples: list[Example], method: str) -> list[Prediction]:
        noted.append((len(examples), method))
        return [Prediction(example=example, labels=("yes",)) for example in examples]

    def of_model(*given: Any) -> Any:
        noted.append(given)
        return "the model"

    def of_predictor(model: str, data: PromptData, max_batch_tokens: int) -> Any:
        noted.append((model, data.folder.name, max_batch_tokens))
        return SimpleNamespace(predict=predict)

    def of_params(path: str, check_data: str) -> Any:
        init = SimpleNamespace(model=f"the model of {path}, data {check_data}")
        return SimpleNamespace(params=SimpleNamespace(trainer=SimpleNamespace(init=init)))

    monkeypatch.setattr(module, "load_model", of_model)
    monkeypatch.setattr(module, "make_predictor", of_predictor)
    monkeypatch.setattr(module, "load_params", of_params)
    monkeypatch.setattr(torch, "set_num_threads", noted.append)
    options = EvaluationOptions(data="data", checkpoint="a.mdl", method="generate")
    assert evaluate(options) == 0
    after = [("the model", "data", 4096), (2, "generate")]
    assert noted == [(Path("a.mdl"), None), *after]
    noted.clear()
    more = replace(options, params="p.yaml", max_batch_tokens=1, num_threads=1, overwrite=True)
    assert evaluate(more) == 0
    after[0] = ("the model", "data", 1)
    assert noted == [1, (Path("a.mdl"), "the model of p.yaml, data none"), *after]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "squad"}, "--task: got 'squad', allowed: pubmedqa"),
        ({"task": "hoc"}, "--task: got hoc, allowed: pubmedqa, the task of the examples in data"),
        ({"convention": "all"}, "--convention is for HoC, .* got it with --task pubmedqa"),
        ({"task": "hoc", "convention": "best"}, "--convention: got 'best', allowed: blurb, "),
        ({"split": "test"}, "split: got 'test', allowed: train, val"),
        ({"num_folds": 2}, "--folds needs {fold} in --checkpoint or --data, got none"),
        ({"num_folds": 1, "data": "{fold}"}, "--folds: got 1, allowed: at least 2"),
        ({"num_folds": 2, "data": "{fold}"}, "--folds needs --output"),
        ({"num_folds": 2, "checkpoint": "{fold}"}, "--folds needs --output"),
        ({"checkpoint": None}, "--checkpoint: got nothing, allowed: a .mdl file"),
        ({"max_batch_tokens": 0}, "--batch-tokens: got 0, allowed: at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, toy_tokenizer: Path, asked: list[Any], changes: dict[str, Any], message: str
) -> None:
    prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), val="yn")
    options = EvaluationOptions(**{"data": "data", "checkpoint": "a.mdl", **changes})
    with pytest.raises((ConfigError, DataError), match=message):
        evaluate(options)
    assert asked == []
    assert not (tmp_path / "evaluation").exists()


def test_an_empty_split_has_no_score(tmp_path: Path, toy_tokenizer: Path) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), val="yn")
    (data / "val.jsonl").write_text("")
    with pytest.raises(DataError, match=r"the split 'val' of .*data is empty"):
        evaluate(EvaluationOptions(data="data", checkpoint="a.mdl"))


def test_the_limits_of_options_are_allowed(tmp_path: Path) -> None:
    folds: dict[str, Any] = {"num_folds": 2, "output": tmp_path}
    for more in ({"data": "{fold}"}, {"data": "d", "checkpoint": "{fold}"}):
        check_options(EvaluationOptions(**{"checkpoint": "a.mdl", **folds, **more}))
    check_options(EvaluationOptions(data="d", checkpoint="a.mdl", max_batch_tokens=1))
