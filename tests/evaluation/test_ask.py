"""mediswift ask: the answers that evaluation scores, one question at a time."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs import cli
from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.tasks.classification import SingleLabelClassification
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task

from .asker import QUESTIONS, Asker, Input
from .models_to_ask import CONTEXT, prepare, save_model


def evaluated(data: Path, checkpoint: Path, output: Path) -> list[dict[str, Any]]:
    """What ``mediswift evaluate`` says to the same questions."""
    found = []
    for split in ("train", "val", "test"):
        folder = output / split
        argv = ["evaluate", "--data", str(data), "--checkpoint", str(checkpoint), "--split", split]
        assert cli.main([*argv, "--output", str(folder)]) == 0
        found.append(json.loads((folder / "predictions.jsonl").read_text()))
    return found


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(one[key], other[key], abs_tol=1e-4) for key in one
    )


TASKS: list[tuple[Task, str]] = [
    (PubMedQA(), CONTEXT),
    (SingleLabelClassification(labels=("yes", "no"), question="Does it divide?"), ""),
    (HallmarksOfCancer(), ""),
]


@pytest.mark.parametrize(("task", "context"), TASKS, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("position", ["infix", "prefix", None])
def test_checkpoint_and_export_answer_as_evaluation_does(
    tmp_path: Path,
    toy_tokenizer: Path,
    ask: Asker,
    task: Task,
    context: str,
    position: str | None,
) -> None:
    prompt = {"num_virtual_tokens": 3, "position": position} if position else None
    settings = {"position": position} if position else {"num_virtual_tokens": 0}
    data = prepare(tmp_path / "data", toy_tokenizer, task, context, **settings)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data, soft_prompt=prompt)
    convert(checkpoint, tmp_path / "export", ConvertOptions(verify=False))
    expected = evaluated(data, checkpoint, tmp_path / "scores")
    for model in (checkpoint, tmp_path / "export"):
        found = ask.records(model, context=context)
        assert [record["question"] for record in found] == list(QUESTIONS)
        for record, wanted in zip(found, expected, strict=True):
            assert record["answer"] == (", ".join(wanted["predicted"]) or "(none)")
            assert same(record["log_likelihood"], wanted["log_likelihood"])
            if isinstance(task, HallmarksOfCancer):
                assert record["probabilities"] == {}
                continue
            likelihoods = {key: math.exp(v) for key, v in wanted["log_likelihood"].items()}
            total = sum(likelihoods.values())
            assert same(record["probabilities"], {k: v / total for k, v in likelihoods.items()})
        pairs = itertools.pairwise(found)
        assert not any(same(a["log_likelihood"], b["log_likelihood"]) for a, b in pairs), "control"


def test_the_context_is_read(tmp_path: Path, toy_tokenizer: Path, ask: Asker) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    one = ask.records(checkpoint, context=CONTEXT)
    other = ask.records(checkpoint, context="Rats do not.")
    assert not same(one[0]["log_likelihood"], other[0]["log_likelihood"])
    long = ask.records(checkpoint, context=f"{CONTEXT} " * 40)
    assert long[0]["num_cut"] > 0
    assert f"did not read the last {long[0]['num_cut']} tokens" in ask.error
    (line, *_) = ask(checkpoint, text=b"\nDoes a cell divide?\n")
    assert line.startswith(("yes  (yes 0.", "no  (yes 0.", "maybe  (yes 0."))


@pytest.mark.parametrize("position", ["infix", None])
def test_without_a_task_the_text_is_continued_as_transformers_does(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker, position: str | None
) -> None:
    """Where the soft prompt is, and without one."""
    prompt = {"num_virtual_tokens": 3, "position": position} if position else None
    # Rows that no text stands for are never taken.
    changes = {"soft_prompt": prompt, "vocab_size": 640}
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, None, **changes)
    options = ConvertOptions(verify=False, tokenizer=toy_tokenizer)
    convert(checkpoint, tmp_path / "export", options)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "export")
    text = QUESTIONS[0] + ("<|soft_0|><|soft_1|><|soft_2|>" if position else "")
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
    output = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
    expected = tokenizer.decode(output, skip_special_tokens=True)
    limit = ("--max-new-tokens", "6")
    for given in ((checkpoint, "--tokenizer", toy_tokenizer), (tmp_path / "export",)):
        first, second, *_ = ask.records(*given, *limit)
        assert first["answer"] == expected
        assert second["answer"] != expected, "control"
        assert first["probabilities"] == {}
        assert "the task of" in ask.error
        assert "is not known here" in ask.error


def test_data_gives_a_model_its_task(tmp_path: Path, toy_tokenizer: Path, ask: Asker) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    known = save_model(tmp_path / "b.mdl", toy_tokenizer, data)
    found = ask.records(checkpoint, "--data", data, context=CONTEXT)
    assert found == ask.records(known, context=CONTEXT)
    other = prepare(tmp_path / "other", toy_tokenizer, PubMedQA(), CONTEXT, num_virtual_tokens=2)
    ask(checkpoint, "--data", other, text=b"x", code=2)
    assert "num_virtual_tokens, got 2, allowed: 3" in ask.error


def test_a_terminal_goes_on_after_a_question_that_is_too_long(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    typed = iter(["word " * 200, "", "Do rats?"])

    def type_next(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", type_next)
    monkeypatch.setattr(Input, "isatty", lambda _: True)
    (line,) = ask(checkpoint, text=b"")
    assert "(yes 0." in line
    assert "error: the question is too long" in ask.error


def test_a_context_is_what_a_continued_text_goes_on_from(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker
) -> None:
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, None)
    given = (checkpoint, "--tokenizer", toy_tokenizer)
    (tmp_path / "context.txt").write_text(CONTEXT)
    found = ask(*given, "--context", tmp_path / "context.txt", text=b"Do rats?")
    assert found == ask(*given, text=f"{CONTEXT} Do rats?".encode())
    assert found != ask(*given, text=b"Do rats?"), "control"


def test_training_data_is_found_from_a_folder_above_the_checkpoint(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in one folder, asked from another."""
    (tmp_path / "there" / "run").mkdir(parents=True)
    prepare(tmp_path / "there" / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = tmp_path / "there" / "run" / "a.mdl"
    save_model(checkpoint, toy_tokenizer, Path("data"))
    monkeypatch.chdir(tmp_path)
    (line,) = ask(checkpoint, text=b"Do rats?")
    assert "(yes 0." in line
