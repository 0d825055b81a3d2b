"""Every JSON file that a command reads, damaged in every way: one sentence and exit code 2."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs import demo_summary
from mediswift_cs.checkpoints import hf_folder, runs
from mediswift_cs.corpora.blocklist import benchmark_texts
from mediswift_cs.corpora.documents_file import read_documents, read_documents_manifest
from mediswift_cs.endings import exit_code_of
from mediswift_cs.evaluation.report_files import prepare_folder
from mediswift_cs.modelzoo import engine
from mediswift_cs.params import run_options
from mediswift_cs.prepare import documents, output
from mediswift_cs.replication import jobs, page, replicate
from mediswift_cs.replication.experiment import Experiment
from mediswift_cs.replication.scales import DENSE, SCALES, TUNED_DENSE
from mediswift_cs.report import scores
from mediswift_cs.report.run_record import read_runs
from mediswift_cs.sweep import command
from mediswift_cs.sweep import runs as sweep_runs
from mediswift_cs.tasks import hoc_documents, pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.example import read_examples_file
from mediswift_cs.tasks.labelled_texts import Columns, read_labelled_lines
from mediswift_cs.tokens.manifest import read_manifest
from mediswift_cs.tokens.texts import Text, TextSource
from mediswift_cs.tokens.tokenizer import load_tokenizer
from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file
from mediswift_cs.training import origin
from tests.hostile import PYTHON, variants

CLAIMS = Path(__file__).parents[2] / "docs" / "reproduce.claims.json"
SIZES = {"num_documents": 1, "num_tokens": 2, "num_samples": 1, "max_token_id": 3}
SPLIT = {**SIZES, "shards": [{"file": "a.h5", "num_samples": 1, "md5": "0"}]}
MANIFEST = {
    **{"format_version": 1, "package_version": "1", "max_sequence_length": 8},
    "tokenizer": {"file": "t", "sha256": "0", "vocab_size": 9, "eos_id": 1},
    **{"sources": [{"path": "a"}], "counts": {"kept": 1}, "splits": {"train": SPLIT}},
    **{"documents": [], "options": {}, "cut_contexts": {"a": 1}},
}
SCORES = {
    **{"task": "pubmedqa", "split": "test", "method": "model", "metric": "accuracy"},
    **{"scores": {"accuracy": 0.5}, "num_items": 2, "options": {"data": None}},
}
RECORD = {"QUESTION": "?", "CONTEXTS": ["c"], "LONG_ANSWER": "", "final_decision": "yes"}
DOCUMENTS = {
    **{"counts": {"kept": 1, "records_read": 2}, "quarantined": []},
    **{"output": {"path": "a", "bytes": 3}, "sources": []},
}
OPTIONS = replicate.Options(scale="smoke", output=Path(), seed=1, host="torch", num_jobs=1)
SOURCE = TextSource(entries=(), read=lambda: iter([Text("a", "one text and another text")]))


class Run(sweep_runs.Run):
    """One run without params."""

    def settings(self) -> dict[str, Any]:
        return {"params": {"a": 1}}


def one_run(folder: Path) -> object:
    nothing: Any = argparse.Namespace()
    return Run(value=nothing, loaded=nothing, folder=folder, command=()).outcome()


def other_sweep(folder: Path) -> None:
    swept: Any = argparse.Namespace(key="trainer.init.seed")
    command._refuse_other_sweep(folder, swept)


class OneFolder(Experiment):
    """All results in one folder."""

    def _folder(self, kind: str, name: str, rate: float, seed: int) -> Path:
        return self.folder


def experiment(folder: Path) -> Experiment:
    return OneFolder(scale=SCALES["smoke"], seed=1, host="torch", folder=folder)


def start_of(folder: Path) -> None:
    """A run that goes on, and one that is given a checkpoint of another."""
    (folder / "checkpoint_5.mdl").touch()
    origin.counted_from(folder, 5)
    origin.record_counting(folder, 7)
    origin.choose_checkpoint(folder, folder.parent / "other.mdl")


def made_documents(folder: Path) -> object:
    tasks: Any = argparse.Namespace(parts=[], recipe={})
    (folder / "docs.jsonl.zst").write_bytes(b"abc")
    manifest = documents._existing(folder / "docs.jsonl.zst", tasks)
    counts, quarantined = manifest["counts"], manifest["quarantined"]
    return [f"{counts['kept']:,} {counts['records_read']:,}", *(x["file"] for x in quarantined)]


def settings(folder: Path) -> None:
    replicate._begin_folder(replicate.Options(**{**OPTIONS.__dict__, "output": folder}))


def labelled(folder: Path) -> object:
    return list(read_labelled_lines(folder / "a.jsonl", Columns(id="id"), multi_label=True))


def tokenizer(folder: Path) -> object:
    return train_tokenizer_file(
        SOURCE, folder / "t.json", vocab_size=300, min_frequency=2, overwrite=False
    )


@dataclass(frozen=True)
class File:
    """A file, what may stand in it, and who reads it.

    Attributes:
        inside: the part of the content whose keys are changed.
        is_optional: for the reader its absence is no error.
    """

    name: str
    content: Any
    read: Callable[[Path], object]
    inside: tuple[str, ...] = ()
    is_optional: bool = False


def lines(name: str, content: Any, read: Callable[[Path], Any]) -> File:
    return File(name, content, lambda folder: list(read(folder / name)))


FILES = {
    "origin": File(
        "origin.json", {"checkpoint_path": None, "counted_from": 3}, start_of, is_optional=True
    ),
    "origin on a card": File("origin.json", {"checkpoint_path": None}, runs._started_from),
    "origin's threads": File("origin.json", {"num_threads": 1}, run_options.threads_of_run),
    "origin in a report": File("origin.json", {}, lambda folder: read_runs([folder])),
    "documents": File(
        "docs.manifest.json",
        DOCUMENTS,
        lambda folder: read_documents_manifest(folder / "docs.jsonl.zst"),
        inside=("counts",),
        is_optional=True,
    ),
    "documents that are there": File(
        "docs.manifest.json",
        DOCUMENTS,
        made_documents,
    ),
    "counts of documents that are there": File(
        "docs.manifest.json", DOCUMENTS, made_documents, inside=("counts",)
    ),
    "corpus": File("manifest.json", {"counts": {}, "quarantined": []}, output._check_ours),
    "tokenizer's manifest": File("t.manifest.json", {"sha256": "0"}, tokenizer, is_optional=True),
    "tokenizer": File("tokenizer.json", {"model": {}}, load_tokenizer),
    "shards": File("manifest.json", MANIFEST, read_manifest),
    "tokenizer of shards": File("manifest.json", MANIFEST, read_manifest, inside=("tokenizer",)),
    "split": File("manifest.json", MANIFEST, read_manifest, inside=("splits", "train")),
    "outcome": File(
        jobs.OUTCOME_FILE, {"exit_code": 0, "seconds": 1.0, "flops": 1.0}, jobs.outcome
    ),
    "logged": File(
        "metrics.jsonl", {"step": 1, "loss": 2.0}, lambda folder: jobs.logged(folder, "loss")
    ),
    "claims": File(
        "reproduce.claims.json", json.loads(CLAIMS.read_text()), page.docs_page, is_optional=True
    ),
    "settings": File("settings.json", replicate._settings(OPTIONS), settings, is_optional=True),
    "activations": File(
        "block_outputs.json",
        {"a": 1.0},
        lambda folder: experiment(folder).block_outputs(DENSE, 101),
    ),
    "baseline": File(
        "scores.json",
        {**SCORES, "baseline": {"score": 0.5, "answer": "yes"}},
        lambda folder: experiment(folder).baseline(TUNED_DENSE, {TUNED_DENSE.name: 1.0}, 101),
    ),
    "scores": File("scores.json", SCORES, lambda folder: scores._read(folder, [])),
    "scores that are there": File(
        "scores.json",
        SCORES,
        lambda folder: prepare_folder(folder, {"task": "pubmedqa"}, overwrite=False),
        is_optional=True,
    ),
    "predictions": File(
        "predictions.jsonl",
        {"id": "1", "predicted": ["a"], "gold": ["a"]},
        demo_summary.right_answers,
    ),
    "times": File(
        "times.json",
        {"a": 1.0},
        lambda folder: demo_summary.read_times(folder / "times.json"),
        is_optional=True,
    ),
    "run of a sweep": File(
        "sweep_run.json",
        {"settings": {"params": {"a": 1}}, "outcome": {"state": "finished", "step": 1}},
        one_run,
        inside=("outcome",),
        is_optional=True,
    ),
    "sweep": File("sweep.json", {"key": "a"}, other_sweep, is_optional=True),
    "metrics": File("metrics.jsonl", {"step": 1, "val_loss": 2.0}, sweep_runs._last_evaluation),
    "benchmark": File("b.json", {"1": RECORD}, benchmark_texts, inside=("1",)),
    "benchmark's lines": File("b.jsonl", {"text": "a"}, benchmark_texts),
    "labelled": File("a.jsonl", {"id": "1", "text": "a", "label": "b"}, labelled),
    "examples": lines("a.jsonl", {"id": "1"}, read_examples_file),
    "documents' lines": lines("d.jsonl", {"id": "1", "text": "a"}, read_documents),
    "hoc": File(
        "hoc_docs.jsonl",
        {"pmid": "1", "sentences": [], "sentence_labels": []},
        hoc_documents.read_documents,
    ),
    "pubmedqa": File("ori_pqal.json", {"1": RECORD}, pubmedqa_records.read_records, inside=("1",)),
    "pubmedqa's split": File(
        "official_split_pmids.json",
        {"folds": {}, "test": ["3"]},
        lambda folder: pubmedqa_split.read_split(folder, 0, {}),
    ),
    "export": File("config.json", {"model_type": "gpt2"}, hf_folder.read_huggingface),
    "ModelZoo's index": File(
        engine.INDEX_FILE, {"a": 1}, engine.index_checkpoints, is_optional=True
    ),
}


def refusal_of(
    read: Callable[[], object], capsys: pytest.CaptureFixture[str], *, must: bool
) -> str | None:
    """What a command says; None where it takes the file."""
    code = exit_code_of(lambda: 0 * len([read()]))
    said = capsys.readouterr().err
    if code == 0 and not must:
        return None
    assert code == 2
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    return said


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_sentence_without_a_word_of_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = FILES[name]
    # A folder that a sentence names must not have the words that are looked for.
    folder = tmp_path / "data"
    folder.mkdir()
    path, said = folder / file.name, []
    read = partial(file.read, folder)
    # Told on a card, taken for the threads: where nobody knows, nothing is said.
    is_lenient = file.read in (runs._started_from, run_options.threads_of_run, output._check_ours)
    said.append(refusal_of(read, capsys, must=not file.is_optional and not is_lenient))
    path.unlink(missing_ok=True)
    path.mkdir()
    said.append(refusal_of(read, capsys, must=False))
    path.rmdir()
    for content in (b"\xff", b"{", b"[1]", b"{}", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"):
        path.write_bytes(content)
        is_file_of_lines = path.suffix == ".jsonl" and name in ("logged", "metrics")
        must = content != b"{}" and not is_lenient and not is_file_of_lines
        must = must and not (file.read is engine.index_checkpoints and content == b"[1]")
        said.append(refusal_of(read, capsys, must=must))
    for content in variants(file.content, file.inside):
        path.write_text(json.dumps(content))
        said.append(refusal_of(read, capsys, must=False))
    told = [sentence for sentence in said if sentence is not None]
    assert told or is_lenient
    assert [sentence for sentence in told if PYTHON.search(sentence.replace(str(folder), ""))] == []


def test_control_words_of_python_are_seen() -> None:
    for error in (
        "[Errno 2] No such file or directory: 'a'",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "TypeError('list indices must be integers or slices, not str')",
        "'list' object has no attribute 'get'",
        "Outcome.__init__() got an unexpected keyword argument 'a'",
    ):
        assert PYTHON.search(error)
