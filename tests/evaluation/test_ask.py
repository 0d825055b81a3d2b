"""mediswift ask: the answers that evaluation scores, one question at a time."""

import io
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs import cli
from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.model.finetuning import build_model
from mediswift_cs.tasks.classification import SingleLabelClassification
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.tokenizer import fingerprint, load_tokenizer, vocab_size
from mediswift_cs.training.checkpoint import save_checkpoint

from .conftest import toy_config

CONTEXT = "Cells of mice divide."
QUESTIONS = ("Does a cell divide?", "Do rats?", "Those of rats do not.")


def prepare(folder: Path, tokenizer: Path, task: Task, context: str, **settings: Any) -> Path:
    """Examples of a task that ask the questions, with an answer each."""
    examples = []
    for number, question in enumerate(QUESTIONS):
        asked = task.asked(question, context)
        labels = task.labels[:1]
        examples.append(
            replace(
                asked,
                id=str(number),
                document=str(number),
                target=task.answer_text(labels),
                labels=labels,
            )
        )
    write_prompt_data(
        {"train": examples[:1], "val": examples[1:2], "test": examples[2:]},
        tokenizer,
        folder,
        PromptSettings(**{"max_sequence_length": 90, "num_virtual_tokens": 3, **settings}),
        task=task,
        counts={},
        sources=(),
    )
    return folder


def save_model(path: Path, tokenizer: Path, data: Path | None, **changes: Any) -> Path:
    """A checkpoint of a run on ``data`` whose answers differ."""
    torch.manual_seed(0)
    model = build_model(toy_config(vocab_size(load_tokenizer(tokenizer)), **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5).add_(0.01)
    section = {k: v for k, v in model.config.model_dump().items() if v is not None}
    params: dict[str, Any] = {"trainer": {"init": {"model": section}}}
    if data is not None:
        loader = {"data_dir": str(data / "train"), "batch_size": 1}
        loader["data_processor"] = "MediSwiftPromptDataProcessor"
        params["trainer"]["fit"] = {"train_dataloader": loader}
    state = {
        "model": {key: value.detach() for key, value in model.state_dict().items()},
        "global_step": 7,
        "mediswift": {
            "tokenizer_sha256": fingerprint(tokenizer),
            "soft_prompt": section.get("soft_prompt"),
        },
        "__metadata__": [{"params": params}],
    }
    save_checkpoint(state, path)
    return path


class Input(io.TextIOWrapper):
    """Standard input, which a test may make a terminal."""


class Asker:
    """``mediswift ask`` with questions on standard input."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        self.capsys, self.monkeypatch, self.folder = capsys, monkeypatch, folder
        self.error = ""

    def __call__(self, *options: str | Path, text: bytes, code: int = 0) -> list[str]:
        self.monkeypatch.setattr("sys.stdin", Input(io.BytesIO(text)))
        self.capsys.readouterr()
        assert cli.main(["ask", *map(str, options)]) == code
        out, self.error = self.capsys.readouterr()
        return out.splitlines()

    def records(self, *options: str | Path, context: str = "") -> list[dict[str, Any]]:
        """The JSON answers to all questions."""
        given: list[str | Path] = [*options, "--json"]
        if context:
            (self.folder / "context.txt").write_text(context)
            given += ["--context", self.folder / "context.txt"]
        lines = self(*given, text="\n".join(QUESTIONS).encode())
        return [json.loads(line) for line in lines]


@pytest.fixture
def ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Asker:
    return Asker(capsys, monkeypatch, tmp_path)


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
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, None, soft_prompt=prompt)
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


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        (["a.mdl"], b"word " * 200, "line 1 of the input is too long"),
        (["a.mdl"], b"Do rats?\n\xff\n", "line 2 of the input is not UTF-8"),
        (["a.mdl", "--context", "absent"], b"", "--context: cannot read absent"),
        (["a.mdl", "--context", "empty"], b"", "--context: got empty, which is empty"),
        (["a.mdl", "--max-new-tokens", "0"], b"", "--max-new-tokens: got 0, allowed: at least 1"),
        (["a.mdl", "--tokenizer", "absent"], b"", "--tokenizer: got absent, allowed: nothing"),
        (["."], b"", "has no config.json: give a .mdl file or a Hugging Face folder"),
        (["absent"], b"", "checkpoint not found: absent"),
        (["empty"], b"", "not a complete .mdl"),
        (["plain.mdl"], b"", "the tokenizer of plain.mdl is not known here"),
        (["plain.mdl", "--tokenizer", "absent"], b"", "tokenizer absent does not exist"),
        (["plain.mdl", "--tokenizer", "tokenizer.json"], b"a " * 100, "line 1 of the input has"),
        (["hf"], b"", "no tokenizer in hf"),
        (["hf", "--data", "plain.mdl"], b"", "data folder plain.mdl does not exist"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path,
    toy_tokenizer: Path,
    ask: Asker,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    text: bytes,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    save_model(Path("a.mdl"), toy_tokenizer, data)
    save_model(Path("plain.mdl"), toy_tokenizer, None, soft_prompt=None, name="mediswift")
    convert(Path("plain.mdl"), Path("hf"), ConvertOptions(has_tokenizer=False, verify=False))
    Path("tokenizer.json").write_bytes(toy_tokenizer.read_bytes())
    Path("empty").touch()
    ask(*options, text=text, code=2)
    (line,) = ask.error.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_task_about_one_text_takes_no_context(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker
) -> None:
    data = prepare(tmp_path / "data", toy_tokenizer, HallmarksOfCancer(), "")
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    (tmp_path / "c").write_text("x")
    ask(checkpoint, "--context", tmp_path / "c", text=b"a", code=2)
    assert "--context: got 'x', allowed: nothing, as HoC asks about the text" in ask.error
