"""Files of the user's own that are JSON of any shape: an error says what, and no word of Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import hoc_documents, pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.example import read_examples_file
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from tests.hostile import PYTHON, VALUES, variants

EXAMPLE = {
    **{"id": "1", "document": "1", "head": "h", "context": "c", "tail": "", "target": "t"},
    "labels": ["yes"],
}
DOCUMENT = {"pmid": "1", "sentences": ["A ."], "sentence_labels": [["cellular energetics"]]}
RECORD = {"QUESTION": "?", "CONTEXTS": ["c"], "LONG_ANSWER": "", "final_decision": "yes"}
SPLIT = {"folds": {"fold0": {"train": ["1"], "dev": ["2"]}}, "test": ["3"]}
PROMPT = {
    **{"task": "pubmedqa", "vocab_size": 9, "num_virtual_tokens": 1, "position": "infix"},
    **{"loss_on": "target", "num_answer_tokens": 3, "mode": "reasoning-required"},
}
MANIFEST = {
    **{"format_version": 1, "package_version": "1", "max_sequence_length": 8, "sources": []},
    "tokenizer": {"file": "t", "sha256": "0", "vocab_size": 9, "eos_id": 1},
    **{"counts": {}, "splits": {}, "documents": [], "options": {"prompt": PROMPT}},
}
SCORES = {"task": "pubmedqa", "options": {"task": "pubmedqa", "split": None}}


def read_examples(folder: Path) -> object:
    return list(read_examples_file(folder / "train.jsonl"))


def read_split(folder: Path) -> object:
    return pubmedqa_split.read_split(folder, 0, {})


def read_scores(folder: Path) -> None:
    pytest.importorskip("torch", reason="evaluation needs torch")
    from mediswift_cs.evaluation.report_files import prepare_folder

    prepare_folder(folder, {"task": "pubmedqa", "split": None}, overwrite=False)


READERS: dict[str, tuple[str, Any, tuple[str, ...], Callable[[Path], object]]] = {
    "example": ("train.jsonl", EXAMPLE, (), read_examples),
    "hoc": ("hoc_docs.jsonl", DOCUMENT, (), hoc_documents.read_documents),
    "record": ("ori_pqal.json", {"1": RECORD}, ("1",), pubmedqa_records.read_records),
    "split": ("official_split_pmids.json", SPLIT, (), read_split),
    "folds": ("official_split_pmids.json", SPLIT, ("folds",), read_split),
    "fold": ("official_split_pmids.json", SPLIT, ("folds", "fold0"), read_split),
    "prompt": ("manifest.json", MANIFEST, ("options", "prompt"), read_prompt_data),
    "scores": ("scores.json", SCORES, (), read_scores),
    "options": ("scores.json", SCORES, ("options",), read_scores),
}


@pytest.mark.parametrize("name", READERS)
def test_any_json_is_read_or_refused_in_plain_words(tmp_path: Path, name: str) -> None:
    file, content, place, read = READERS[name]
    refusals = []
    for variant in variants(content, place):
        (tmp_path / file).write_text(json.dumps(variant))
        try:
            read(tmp_path)
        except (DataError, ConfigError) as error:
            refusals.append(str(error))
    assert len(refusals) > len(VALUES) // 2
    assert [message for message in refusals if PYTHON.search(message)] == []
    assert [message for message in refusals if str(tmp_path) not in message] == []


def test_an_example_names_the_field_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    for change, message in (
        ({"labels": "yes"}, "line 1 is not an example: labels: got 'yes', allowed: a list of stri"),
        ({"head": 3}, "line 1 is not an example: head: got 3, allowed: a string"),
        ({"answer": "yes"}, "line 1 is not an example: got 'answer', allowed: id, document, head"),
    ):
        path.write_text(json.dumps({**EXAMPLE, **change}))
        with pytest.raises(DataError, match=message):
            list(read_examples_file(path))
    path.write_text("{}")
    with pytest.raises(DataError, match="line 1 is not an example: it lacks 'id'"):
        list(read_examples_file(path))
