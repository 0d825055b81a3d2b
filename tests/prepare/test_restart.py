"""Runs that go on, at once, with other workers, or beside what is not theirs."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.clean import CleanResult
from mediswift_cs.prepare.config import EngineSettings, load_settings
from mediswift_cs.prepare.pipeline import STAGES, Pipeline
from mediswift_cs.prepare.runner import TaskRunner
from mediswift_cs.prepare.tasks import Result, Task, do
from mediswift_cs.prepare.tokens import ShardsResult

from ..processes import all_end, kill_anywhere
from .conftest import (
    contents,
    manifest_of,
    prepare,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_second_run_does_nothing(
    settings_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings_file()
    assert prepare(path) == 0
    output = load_settings(path).output
    before = {p: p.stat().st_mtime_ns for p in (output / "work").rglob("*.*") if p.is_file()}
    capsys.readouterr()
    assert prepare(path) == 0
    log = capsys.readouterr().err
    assert "parse: 0 of 5 parts done" in log
    assert log.count(" were there") == len(log.splitlines())
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_new_file_adds_its_part_only(
    settings_file: Callable[..., Path], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings_file(pubmed={"inputs": [str(copied / "pubmed")]})
    assert prepare(path) == 0
    shutil.copy(copied / "pubmed" / "pubmed20n0003.xml", copied / "pubmed" / "pubmed20n0004.xml")
    capsys.readouterr()
    assert prepare(path) == 0
    assert "parse: 1 of 6 parts done" in capsys.readouterr().err
    counts = manifest_of(load_settings(path).output)["stages"]["parse pubmed"]
    assert counts["superseded"] == 62


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_workers_and_engines_give_the_same_bytes(
    settings_file: Callable[..., Path], expected: Any, engine: Any
) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    path = settings_file()
    assert prepare(path, "--workers", 2, "--engine", engine) == 0
    assert contents(load_settings(path).output) == contents(expected)


def test_the_largest_parts_begin_first(expected: Path, inputs: Path) -> None:
    parts = Pipeline(load_settings(expected.parent / "settings.yaml"), chosen=STAGES).tasks.parts
    for stage in ("parse", "clean", "guard", "tokens"):
        done = {p: (expected / "work" / stage / f"{p.name}.json").stat().st_mtime_ns for p in parts}
        sizes = [part.num_bytes for part in sorted(parts, key=lambda part: done[part])]
        assert sizes == sorted(sizes, reverse=True), stage
    files = [path for folder in ("pubmed", "pmc") for path in (inputs / folder).iterdir()]
    assert sum(part.num_bytes for part in parts) == sum(path.stat().st_size for path in files)
    # The parts are not in that order by themselves, so the order above is a choice.
    own_order = [part.num_bytes for part in parts]
    assert own_order != sorted(own_order, reverse=True)


def test_another_tokenizer_in_the_same_process(
    settings_file: Callable[..., Path], expected: Path
) -> None:
    path = settings_file(tokenizer={"vocab_size": 400})
    assert prepare(path) == 0
    output = load_settings(path).output
    assert contents(output)["hdf5/tokenizer.json"] != contents(expected)["hdf5/tokenizer.json"]
    assert prepare(settings_file()) == 0
    assert contents(output) == contents(expected)


def test_a_scheduler_that_runs_already(settings_file: Callable[..., Path], expected: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        path = settings_file()
        options = ("--engine", "dask", "--scheduler", cluster.scheduler_address)
        assert prepare(path, *options) == 0
    assert contents(load_settings(path).output) == contents(expected)


@pytest.mark.parametrize("seed", range(3))
def test_killed_anywhere_and_started_again(
    settings_file: Callable[..., Path], expected: Any, seed: int
) -> None:
    path = settings_file()
    command = [sys.executable, "-m", "mediswift_cs.cli", "prepare", "--config", str(path)]
    output = load_settings(path).output
    kill_anywhere(command, output, seed, most_files=25)
    assert prepare(path) == 0
    assert contents(output) == contents(expected)
    assert not list(output.rglob("*.partial-*"))


def children_of(process: int) -> set[int]:
    return {
        int(child)
        for thread in Path(f"/proc/{process}/task").iterdir()
        for child in (thread / "children").read_text().split()
    }


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_the_workers_of_a_killed_run_end(
    settings_file: Callable[..., Path], tmp_path: Path, engine: str
) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    path = settings_file()
    command = [sys.executable, "-m", "mediswift_cs.cli", "prepare", "--config", str(path)]
    process = subprocess.Popen(
        [*command, "--workers", "2", "--engine", engine], stderr=subprocess.DEVNULL
    )
    # Workers that have made something have begun to watch over their parent.
    while not list((tmp_path / "out" / "work").glob("parse/*.jsonl.zst")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = children_of(process.pid)
    assert len(workers) >= 2
    # It alone, as the system's killer of processes that take too much memory does.
    process.kill()
    process.wait()
    assert all_end(workers)


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_a_worker_that_dies_is_told_in_a_sentence(tmp_path: Path, engine: str) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    task = Task(
        run=partial(os._exit, 1), returns=Result, key="key", marker=tmp_path / "marker.json"
    )
    settings = EngineSettings.model_validate({"name": engine, "workers": 2})
    with (
        TaskRunner(settings, quiet=False) as runner,
        pytest.raises(DataError, match=r"a worker died .*: start again, finished parts are kept"),
    ):
        runner.results("tasks", [task], stage=None)
    assert not task.marker.exists()


def test_a_marker_counts_only_if_it_has_what_its_stage_returns(tmp_path: Path) -> None:
    marker = tmp_path / "clean" / "part.json"
    made = CleanResult(counts={"kept": 3}, changes={"joined_words": 1})
    task = Task(run=lambda: made, returns=CleanResult, key="key", marker=marker)
    done = do(task)
    assert done == made.model_copy(update={"key": "key", "content": "key"})
    assert task.result_if_done() == done
    # The marker of another stage, of another key, or a damaged one.
    for other in (
        replace(task, returns=ShardsResult),
        replace(task, key="other"),
        replace(task, outputs=(tmp_path / "gone",)),
    ):
        assert other.result_if_done() is None
    marker.write_bytes(marker.read_bytes()[:-5])
    assert task.result_if_done() is None


def test_what_no_run_made_is_not_touched(
    settings_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = settings_file(), tmp_path / "out"
    (output / "documents").mkdir(parents=True)
    (output / "documents" / "thesis.docx").write_text("mine")
    (output / "tokenizer.json").write_text("{}")
    before = contents(output)
    assert prepare(path) == 2
    assert "holds documents, tokenizer.json, which no earlier run made" in capsys.readouterr().err
    assert contents(output) == before
    shutil.rmtree(output)
    assert prepare(path) == 0
    # Without work/ the output is known by its manifest.
    shutil.rmtree(output / "work")
    assert prepare(path) == 0
    (output / "documents" / "mine.jsonl.zst").write_text("mine")
    shutil.rmtree(output / "work" / "guard")
    assert prepare(path) == 2
    assert "holds 'mine.jsonl.zst', which no run made" in capsys.readouterr().err
    assert (output / "documents" / "mine.jsonl.zst").read_text() == "mine"


def test_what_a_killed_run_was_writing_is_removed(
    settings_file: Callable[..., Path], expected: Path, tmp_path: Path
) -> None:
    path, output = settings_file(), tmp_path / "out"
    assert prepare(path) == 0
    left = ("work/tokens/x.partial-1-a/y", "hdf5.partial-1-b/train/z", ".hdf5.old-1-c/z")
    for name in (*left, "work/clean/x.jsonl.zst.partial-1-d", "tokenizer.json.partial-1-e"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    assert prepare(path) == 0
    assert contents(output) == contents(expected)
    assert not [p for p in output.rglob("*") if "partial-" in p.name or ".old-" in p.name]


def test_a_mended_md5_or_disk_brings_the_file_back(
    settings_file: Callable[..., Path], copied: Path
) -> None:
    md5 = copied / "pubmed" / "pubmed20n0003.xml.md5"
    md5.write_text("0" * 32)
    path = settings_file(
        pubmed={"inputs": [str(copied / "pubmed")]}, pmc={"inputs": [str(copied / "pmc")]}
    )
    assert prepare(path) == 1
    md5.unlink()
    assert prepare(path) == 0
    output = load_settings(path).output
    assert manifest_of(output)["stages"]["parse pubmed"]["kept"] == 125


def test_stages_alone(settings_file: Callable[..., Path]) -> None:
    settings = load_settings(settings_file())
    with pytest.raises(DataError, match=r"stage parse is not done .*: run it too"):
        Pipeline(settings, ("clean",)).run()
    for stage in STAGES:
        Pipeline(settings, (stage,)).run()
        assert Pipeline(settings, (stage,)).tasks.results.counts() == {}
    assert (settings.output / "corpus.html").is_file()
    with pytest.raises(ConfigError, match="no stage 'train', there are: fetch, parse, clean"):
        Pipeline(settings, ("train",))


def test_two_runs_at_once(settings_file: Callable[..., Path]) -> None:
    import fcntl

    settings = load_settings(settings_file())
    (settings.output / "work").mkdir(parents=True)
    with (settings.output / "work" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another run is at work in"):
            Pipeline(settings, chosen=STAGES).run()
