"""mediswift ask: what it refuses, and says why."""

import json
from pathlib import Path

import pytest

from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.tasks.classification import SingleLabelClassification
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.tokenizer import fingerprint

from .asker import Asker
from .models_to_ask import CONTEXT, prepare, save_model


def exchanged(tokenizer: Path, folder: Path) -> Path:
    """A tokenizer that splits texts alike and has other ids for the pieces."""
    content = json.loads(tokenizer.read_text())
    vocab = content["model"]["vocab"]
    first, second, *_ = sorted(vocab.keys() - {"<|endoftext|>"})
    vocab[first], vocab[second] = vocab[second], vocab[first]
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("task", [PubMedQA(), None], ids=["task", "no task"])
def test_another_tokenizer_than_the_model_was_trained_with_is_refused(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker, task: Task | None
) -> None:
    """By whichever way it comes, and also where an export tells what it was trained with."""
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data if task else None)
    options = ConvertOptions(verify=False, tokenizer=toy_tokenizer)
    convert(checkpoint, tmp_path / "export", options)
    other = exchanged(toy_tokenizer, tmp_path / "other")
    of_data = prepare(tmp_path / "of_data", other, PubMedQA(), CONTEXT)
    for given in (("--tokenizer", other), ("--data", of_data)):
        ask(tmp_path / "export", *given, text=b"Do rats?", code=2)
        assert f"{fingerprint(other)}, allowed: {fingerprint(toy_tokenizer)}" in ask.error
    assert ask(tmp_path / "export", "--tokenizer", toy_tokenizer, text=b"Do rats?")
    (tmp_path / "export" / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    ask(tmp_path / "export", text=b"Do rats?", code=2)
    assert "was trained with" in ask.error


def test_a_tokenizer_of_more_ids_than_the_model_is_refused(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker
) -> None:
    """Where nothing tells its fingerprint: the rows of a soft prompt are no ids of texts."""
    data = prepare(tmp_path / "data", toy_tokenizer, PubMedQA(), CONTEXT)
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    convert(checkpoint, tmp_path / "export", ConvertOptions(verify=False))
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    config["mediswift_cs"]["tokenizer_sha256"] = None
    content = json.loads(toy_tokenizer.read_text())
    content["model"]["vocab"]["more"] = number = len(content["model"]["vocab"])
    (tmp_path / "more.json").write_text(json.dumps(content))
    for prompt in (config["mediswift_cs"]["prompt"], None):
        config["mediswift_cs"]["prompt"] = prompt
        (tmp_path / "export" / "config.json").write_text(json.dumps(config))
        ask(tmp_path / "export", "--tokenizer", tmp_path / "more.json", text=b"a", code=2)
        assert f"has {number + 1} ids, allowed: at most the vocab_size {number} of" in ask.error


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


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("labels", 4, "a list of texts"),
        ("labels", "ab", "a list of texts"),
        ("labels", ["a", 1], "text on one line"),
        ("labels", ["a", []], "text on one line"),
        ("instruction", 3, "a text"),
        ("question", None, "a text"),
    ],
)
def test_a_task_that_an_export_describes_wrongly(
    tmp_path: Path, toy_tokenizer: Path, ask: Asker, option: str, value: object, allowed: str
) -> None:
    task = SingleLabelClassification(labels=("yes", "no"))
    data = prepare(tmp_path / "data", toy_tokenizer, task, "")
    checkpoint = save_model(tmp_path / "a.mdl", toy_tokenizer, data)
    convert(checkpoint, tmp_path / "export", ConvertOptions(verify=False))
    file = tmp_path / "export" / "config.json"
    config = json.loads(file.read_text())
    config["mediswift_cs"]["prompt"][option] = value
    file.write_text(json.dumps(config))
    ask(tmp_path / "export", text=b"Do rats?", code=2)
    wrong = value[1] if isinstance(value, list) else value
    assert f"config.json of {tmp_path / 'export'} describes: {option}: got {wrong!r}" in ask.error
    assert f"allowed: {allowed}" in ask.error
