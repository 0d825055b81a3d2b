"""The page about runs: what is on it, of runs of every kind, and that it asks for nothing."""

import json
import os
import re
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from markupsafe import escape

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.checkpoints.sparsity_report import count_zeros
from mediswift_cs.cli import main
from mediswift_cs.pages.figures import MAX_POINTS, Line, curves
from mediswift_cs.params.schema import Params
from mediswift_cs.report.run_record import read_runs
from mediswift_cs.training import mdl_state

from .small_runs import page_of, train, write_scores

Raw = dict[str, Any]
HOSTILE = "<script>alert(1)</script>\"'><img src=http://x.invalid/y onerror=alert(2)>"


def test_the_page_has_what_the_run_has(toy_run: Path, tmp_path: Path) -> None:
    page = page_of(toy_run, folder=tmp_path)
    lines = [json.loads(line) for line in (toy_run / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "val_loss" in line][-1]
    for text in (
        f"{last['val_loss']:.4f} at step 12",
        "12 of 12",
        # 12 steps of 8 samples of 16 tokens.
        "1,536",
        "12,288 of 16,384 = 75.0000%",
        "random weights",
        "0.7500",
        "0.3125 to 0.9875",
        "0.5000 (always yes)",
        "Q: text of yes",
        "mediswift run --params params.yaml --model_dir NEW_FOLDER --threads 1",
        "max_gradient_norm: 1.0",
    ):
        assert text in page, text
    # Loss over three axes; learning rate, gradient norm, clipped fraction, tokens a second.
    assert page.count("<svg ") == 3 + 4
    assert page.count("data:image/png;base64,") == 1
    # Sections without data say what makes it: the toy shards have no manifest.
    assert "No run has logged bits per byte" in page
    assert "make the data with `mediswift shards`" in page


def test_nothing_on_the_page_is_fetched(toy_run: Path, tmp_path: Path) -> None:
    page = page_of(toy_run, folder=tmp_path)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"<(script|iframe|object|embed|audio|video|base|form)", page, re.I)
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", page)
    assert addresses
    assert all(one.startswith(("data:", "#")) for one in addresses), addresses


@pytest.mark.cerebras
@pytest.mark.usefixtures("cpu_backend")
def test_a_run_on_the_other_host(make_toy_raw: Callable[[], Raw], tmp_path: Path) -> None:
    from mediswift_cs.training.hosts.cerebras.session import Session

    raw = make_toy_raw()
    host = Session(Params(**raw), for_training=True)
    page = page_of(train(raw, tmp_path / "run", host), folder=tmp_path)
    assert "12,288 of 16,384 = 75.0000%" in page
    assert page.count("<svg ") == 3 + 4


def zeros_by_h5py(path: Path) -> int:
    with h5py.File(path, "r") as file:
        matrices = [
            dataset[()]
            for name, dataset in file.items()
            if ".layers." in name and name.endswith(".weight") and dataset.ndim == 2
            if name.startswith("model.")
        ]
    return sum(matrix.size - int(np.count_nonzero(matrix)) for matrix in matrices)


def test_zeros_are_counted_and_not_taken_from_the_params(toy_run: Path, tmp_path: Path) -> None:
    path = list_checkpoints(toy_run)[-1]
    with MdlFile(path) as file:
        assert count_zeros(file).num_zeros == zeros_by_h5py(path) == 12_288
    state = mdl_state.read(path)
    name = "transformer_decoder.layers.1.ffn.ffn.0.linear_layer.weight"
    weight = next(v for k, v in state["model"].items() if k.endswith(name))
    before = int((weight == 0).sum())
    weight[:, 0] = 0.0
    copy = tmp_path / "run" / "checkpoint_12.mdl"
    copy.parent.mkdir()
    mdl_state.write(state, copy)
    with MdlFile(copy) as file:
        found = count_zeros(file)
    assert found.num_zeros == 12_288 + int((weight == 0).sum()) - before > 12_288
    assert found.fractions()[1][1][4] > 0.75


def test_zeros_of_a_large_matrix_are_counted_in_little_memory(tmp_path: Path) -> None:
    weight = torch.zeros(4096, 4096)
    weight[::2] = 1.0
    name = "transformer_decoder.layers.0.ffn.ffn.0.linear_layer.weight"
    mdl_state.write({"model": {name: weight}}, tmp_path / "checkpoint_1.mdl")
    with MdlFile(tmp_path / "checkpoint_1.mdl") as file:
        tracemalloc.start()
        assert count_zeros(file).sparsity == 0.5
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * 2**20 < weight.nbytes


def test_hostile_text_is_text(make_toy_raw: Callable[[], Raw], tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE.replace("/", "_")[:100]
    run = train(make_toy_raw(), folder)
    path = list_checkpoints(run)[-1]
    state = mdl_state.read(path)
    params = state["__metadata__"][-1]["params"]
    params["trainer"]["fit"]["train_dataloader"]["data_dir"] = HOSTILE
    path.unlink()
    mdl_state.write(state, path)
    with (run / "metrics.jsonl").open("a") as file:
        for line in (
            {"step": 12, HOSTILE: 1.0, "val_loss": HOSTILE, "loss": True},
            {"step": 10**400, "loss": 1.0},
            {"step": 5, "loss": 10**400},
            {"step": -1, "loss": 1e300},
            [HOSTILE],
        ):
            file.write(json.dumps(line) + "\n")
    (run / "origin.json").write_text(json.dumps({"checkpoint_path": HOSTILE + "\ud800"}))
    scores = write_scores(tmp_path / "scores", path, label=HOSTILE)
    page = page_of(run, "--scores", scores, folder=tmp_path)
    assert "<script" not in page
    assert "<img src=http" not in page
    assert str(escape("<script>alert(1)")) in page
    assert page.count("&lt;script&gt;") > 10


def test_a_run_that_goes_on(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    lines = (toy_run / "metrics.jsonl").read_text().splitlines()
    # Steps were repeated, an old checkpoint was evaluated, and the last line is being written.
    old = '{"step": 6, "val_loss": 1.25}\n{"step": 3, "loss": 7.5}\n'
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n" + old + '{"step": 15, "lo')
    (run / "run.lock").write_text(f"process {os.getpid()} on {socket.gethostname()}")
    (run / "checkpoint_15.mdl.partial-1-2").write_bytes(b"half")
    (record,) = read_runs([run])
    assert record.metrics["loss"][0] == [3, 6, 9, 12]
    assert record.metrics["loss"][1][0] == 7.5
    assert record.metrics["val_loss"][1][0] == 1.25
    page = page_of(run, folder=tmp_path)
    assert f"run is going on: process {os.getpid()}." in page
    assert "run has no checkpoint yet" in page
    # Over steps alone: no params say what tokens and operations a step has.
    assert page.count("<svg ") == 1 + 4
    (run / "run.lock").write_text(f"process {2**22 + 1} on {socket.gethostname()}")
    assert "is going on" not in page_of(run, folder=tmp_path)


def test_a_run_without_a_logged_step(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "origin.json").write_text('{"checkpoint_path": null}')
    page = page_of(tmp_path / "run", folder=tmp_path)
    assert "No step has been logged" in page
    assert "<svg" not in page


def test_a_damaged_newest_checkpoint_is_said(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    content = list_checkpoints(toy_run)[-1].read_bytes()
    (run / "checkpoint_6.mdl").write_bytes(content)
    (run / "checkpoint_12.mdl").write_bytes(content[: len(content) // 2])
    page = page_of(run, folder=tmp_path)
    assert "checkpoint_12.mdl: not a complete .mdl" in page
    assert "75.0000%" not in page


def test_params_that_are_no_plain_data_are_said(toy_run: Path, tmp_path: Path) -> None:
    state = mdl_state.read(list_checkpoints(toy_run)[-1])
    state["__metadata__"][-1]["params"]["trainer"]["init"]["seed"] = torch.zeros(2)
    run = tmp_path / "run"
    run.mkdir()
    mdl_state.write(state, run / "checkpoint_12.mdl")
    assert "run: trainer.init.seed in the params of" in page_of(run, folder=tmp_path)


def test_folders_of_one_name_are_told_apart(toy_run: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "model_dir", tmp_path / "b" / "model_dir"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    runs = read_runs([*folders, folders[0]])
    assert [run.label for run in runs] == ["a/model_dir", "b/model_dir"]
    # Both in one figure, each in its colour.
    page = page_of(*folders, folder=tmp_path)
    (figure,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert "var(--s0)" in figure
    assert "var(--s1)" in figure
    assert "var(--s2)" not in figure


def test_an_existing_file_is_kept(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "page.html"
    output.write_text("mine")
    assert main(["report", str(toy_run), "--output", str(output)]) == 2
    assert "exists: give another output" in capsys.readouterr().err
    assert output.read_text() == "mine"
    # Nothing is written where the input is wrong, either.
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "new.html")]) == 2
    error = capsys.readouterr().err
    assert "allowed: the folder of a run, which holds metrics.jsonl or checkpoint_*.mdl" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new.html").exists()


def test_evaluations_of_other_runs_are_left_out(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    write_scores(tmp_path / "other", tmp_path / "elsewhere" / "checkpoint_1.mdl")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scores.json").write_text('{"task": 1}')
    page = page_of(run, folder=tmp_path)
    assert "No evaluation of these runs was found" in page
    assert "is no scores.json of `mediswift evaluate`: task:" in page
    write_scores(tmp_path / "own", run / "checkpoint_1.mdl")
    assert "0.3125 to 0.9875" in page_of(run, folder=tmp_path)


def test_a_long_line_is_drawn_by_means() -> None:
    numbers = list(range(50 * MAX_POINTS))
    long = curves([Line(x=numbers, y=numbers, colour=0)], x="steps", y="loss")
    short = curves([Line(x=[0, 1], y=[0, 1], colour=0)], x="steps", y="loss")
    assert len(long) < len(short) + 40 * MAX_POINTS
    assert "var(--s0)" in long
    assert "var(--ink)" in long
    assert "#0000" not in long
