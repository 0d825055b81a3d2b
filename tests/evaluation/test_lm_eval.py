"""The converted model in EleutherAI's lm-evaluation-harness: the same log-likelihoods."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mediswift_cs.cli import main
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.evaluation.lm_eval_task import command, write_lm_eval_task
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import make_predictor
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.schema import Params
from mediswift_cs.tasks import pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.classification import SingleLabelClassification
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.official_split import select
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.prompt_folder import PromptData, read_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

NUM_ITEMS = 20
MODEL = {
    "name": "mediswift_finetuning",
    "vocab_size": 50257,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 4,
    "filter_size": 64,
    "max_position_embeddings": 1024,
}


@pytest.fixture
def data(tmp_path: Path, shared_data: Path) -> PromptData:
    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    test = pubmedqa_split.read_split(shared_data / "pubmedqa", 0, records).test[:NUM_ITEMS]
    write_prompt_data(
        {"test": select(records, test, PubMedQA().examples)},
        shared_data / "tokenizers" / "gpt2",
        tmp_path / "data",
        PromptSettings(max_sequence_length=1024, num_virtual_tokens=0),
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return read_prompt_data(tmp_path / "data")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Random weights, large enough that the choices differ."""
    torch.manual_seed(0)
    raw = {"trainer": {"init": {"model": MODEL}}}
    model = MediSwiftModel(Params(**raw).trainer.init.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    path = tmp_path / "checkpoint_0.mdl"
    state = {
        "model": {key: value.detach() for key, value in model.state_dict().items()},
        "global_step": 0,
        "__metadata__": [{"params": raw}],
    }
    save_checkpoint(state, path, write=mdl_state.write)
    return path


def test_converted_model_scores_the_same(
    tmp_path: Path, data: PromptData, checkpoint: Path
) -> None:
    pytest.importorskip(
        "lm_eval",
        reason="lm-eval is not installed: pip install -c constraints/lm-eval.txt .[lm-eval]",
    )
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    export = tmp_path / "export"
    tokenizer = ["--tokenizer", str(data.folder / "tokenizer.json")]
    assert main(["convert", str(checkpoint), str(export), *tokenizer]) == 0
    task = write_lm_eval_task(data, "test", tmp_path / "task")
    harness = HFLM(pretrained=str(export), device="cpu", dtype="float32", batch_size=4)
    results = simple_evaluate(
        model=harness,
        tasks=[task.stem],
        task_manager=TaskManager(include_path=str(task.parent), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    theirs = {
        sample["doc"]["id"]: [float(response[0][0]) for response in sample["resps"]]
        for sample in results["samples"][task.stem]
    }
    predictor = make_predictor(load_model(checkpoint), data)
    found = predictor.predict(data.examples("test"), "constrained")
    assert len(found) == len(theirs) == NUM_ITEMS
    for prediction in found:
        ours = list(prediction.scores.values())
        assert ours == pytest.approx(theirs[prediction.example.id], abs=1e-4)
        # Control: the choices are not all the same number.
        assert max(ours) - min(ours) > 1e-2
    right = sum(p.labels == p.example.labels for p in found) / NUM_ITEMS
    assert results["results"][task.stem]["acc,none"] == pytest.approx(right)


def test_what_text_cannot_express_is_refused(tmp_path: Path, data: PromptData) -> None:
    with pytest.raises(ConfigError, match="got 'hoc', allowed for lm-eval: pubmedqa"):
        write_lm_eval_task(replace(data, task=HallmarksOfCancer()), "test", tmp_path)


WORDS = SingleLabelClassification(labels=("urgent", "routine"), question="Is the note urgent?")


def classified(folder: Path, file: Path, **settings: Any) -> PromptData:
    write_prompt_data(
        {"test": [WORDS.ask("1", "1", "The patient fell", ["urgent"], " the answer is urgent.")]},
        file,
        folder,
        PromptSettings(max_sequence_length=160, **settings),
        task=WORDS,
        counts={},
        sources=(),
        overwrite=False,
    )
    return read_prompt_data(folder)


@pytest.fixture
def small_tokenizer(tmp_path: Path) -> Path:
    save_tokenizer(
        train_tokenizer(
            ["The patient fell."],
            vocab_size=260,
            min_frequency=2,
            num_texts=None,
            show_progress=False,
        ),
        tmp_path / "tok.json",
    )
    return tmp_path / "tok.json"


@pytest.mark.parametrize(
    ("position", "written"), [("prefix", ""), ("infix", "<|soft_0|><|soft_1|>")]
)
def test_the_soft_prompt_is_in_its_place(
    tmp_path: Path, small_tokenizer: Path, position: Any, written: str
) -> None:
    data = classified(tmp_path / "data", small_tokenizer, num_virtual_tokens=2, position=position)
    task = write_lm_eval_task(data, "test", tmp_path / "task")
    (line,) = task.with_suffix(".jsonl").read_text().splitlines()
    source = f"The patient fell Is the note urgent?{written} the answer is"
    assert json.loads(line) == {"id": "1", "prompt": source, "target": 0}
    settings = yaml.safe_load(task.read_text())
    answers = [settings["target_delimiter"] + choice for choice in settings["doc_to_choice"]]
    assert [data.task.stem + text for text in answers] == data.task.longest_answers()


def test_the_task_is_a_choice_between_the_labels(
    tmp_path: Path, small_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = classified(tmp_path / "data", small_tokenizer, num_virtual_tokens=0)
    monkeypatch.chdir(tmp_path)
    name = "mediswift_single_label_classification"
    task = write_lm_eval_task(data, "test", Path("task"))
    assert task == Path("task") / f"{name}.yaml"
    assert task.read_text().startswith(f"task: {name}\n"), "in the order of a reader"
    assert yaml.safe_load(task.read_text()) == {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "task" / f"{name}.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": ["urgent.", "routine."],
        "doc_to_target": "target",
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    assert command(task) == (
        "lm_eval --model hf --model_args pretrained=EXPORT,add_bos_token=True --tasks "
        f"{name} --include_path task"
    )
    with pytest.raises(ConfigError, match="got 'hoc', allowed for lm-eval: pubmedqa"):
        write_lm_eval_task(replace(data, task=HallmarksOfCancer()), "test", tmp_path)


def test_the_command_writes_the_task(
    tmp_path: Path, small_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classified(tmp_path / "data", small_tokenizer, num_virtual_tokens=0)
    argv = ["evaluate", "--data", str(tmp_path / "data"), "--lm-eval-task", str(tmp_path / "task")]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "--tasks mediswift_single_label_classification --include_path" in printed
    assert (tmp_path / "task" / "mediswift_single_label_classification.yaml").is_file()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--split", "train", "split: got 'train', allowed: test"),
        ("--task", "hoc", "--task: got hoc, allowed: single_label_classification"),
        ("--checkpoint", "a.mdl", "--checkpoint: got a.mdl with --lm-eval-task"),
        ("--convention", "all", "--convention: got all with --lm-eval-task"),
        ("--folds", "3", "--folds: got 3 with --lm-eval-task"),
        ("--params", "a.yaml", "--params: got a.yaml with --lm-eval-task"),
        ("--output", "scores", "--output: got scores with --lm-eval-task"),
        ("--method", "tfidf", "--method: got tfidf with --lm-eval-task"),
    ],
)
def test_what_the_task_would_not_heed_is_refused(
    tmp_path: Path,
    small_tokenizer: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    message: str,
) -> None:
    classified(tmp_path / "data", small_tokenizer, num_virtual_tokens=0)
    argv = ["evaluate", "--data", str(tmp_path / "data"), "--lm-eval-task", str(tmp_path / "task")]
    assert main([*argv, option, value]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "task").exists()


def test_cut_contexts(tmp_path: Path, small_tokenizer: Path) -> None:
    """The text has the ids that are left; where no text has them, that is said."""
    refused, num_written = [], 0
    for length in range(100, 106):
        folder = tmp_path / str(length)
        example = replace(WORDS.wording(), id="1", context="Fell \N{GRINNING FACE} " * 40)
        write_prompt_data(
            {"test": [example]},
            small_tokenizer,
            folder,
            PromptSettings(max_sequence_length=length, num_virtual_tokens=0),
            task=WORDS,
            counts={},
            sources=(),
            overwrite=False,
        )
        data = read_prompt_data(folder)
        ids, num_cut = data.layout.encode_source(data.tokenizer, example)
        assert num_cut
        try:
            task = write_lm_eval_task(data, "test", folder / "task")
        except DataError as error:
            refused.append(str(error))
            continue
        num_written += 1
        prompt = json.loads(task.with_suffix(".jsonl").read_text())["prompt"]
        assert data.tokenizer.encode(prompt).ids == ids + data.tokenizer.encode(WORDS.stem).ids
    assert num_written
    assert refused
    assert all("1 is cut to max_sequence_length 10" in message for message in refused)


def test_a_context_that_lost_a_single_token(tmp_path: Path, small_tokenizer: Path) -> None:
    example = replace(WORDS.wording(), id="1", context="\N{MICRO SIGN}g fell " * 9)
    write_prompt_data(
        {"test": [example]},
        small_tokenizer,
        tmp_path / "data",
        PromptSettings(max_sequence_length=300, num_virtual_tokens=0),
        task=WORDS,
        counts={},
        sources=(),
        overwrite=False,
    )
    whole = read_prompt_data(tmp_path / "data")
    cut = (
        replace(whole, layout=replace(whole.layout, max_sequence_length=length))
        for length in range(300, 0, -1)
    )
    data = next(d for d in cut if d.layout.encode_source(d.tokenizer, example).num_cut == 1)
    for given in (whole, data):
        task = write_lm_eval_task(given, "test", tmp_path / "task")
        text = task.with_suffix(".jsonl").read_text(encoding="utf-8")
        assert "\N{MICRO SIGN}g" in text, "as people read it"
        ids, num_cut = given.layout.encode_source(given.tokenizer, example)
        assert num_cut == (given is data)
        stem = given.tokenizer.encode(WORDS.stem).ids
        assert given.tokenizer.encode(json.loads(text)["prompt"]).ids == ids + stem
