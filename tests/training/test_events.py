"""The curves that TensorBoard shows are those of metrics.jsonl, whatever the clock does."""

import json
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mediswift_cs.training.journal import Journal


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    shown.Reload()
    return [(point.step, point.value) for point in shown.Scalars(tag)]


def train(model_dir: Path, first: int, last: int) -> None:
    with Journal(model_dir, first_step=first, last_step=last, log_steps=1) as journal:
        for step in range(first + 1, last + 1):
            journal.train_step(step, 1 / step, 0.1, 100)


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(time, "time", lambda: seconds)


def test_nothing_is_lost_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "events"
    set_clock(monkeypatch, 2_000_000_000)
    train(tmp_path, 0, 5)
    (first,) = events.iterdir()
    (events / "notes.txt").write_text("of the user")
    watching = EventAccumulator(str(events), size_guidance={"scalars": 0})
    watching.Reload()
    set_clock(monkeypatch, 1_000_000_000)
    # The last step was not saved, and is done again.
    train(tmp_path, 4, 8)
    expected = [(step, pytest.approx(1 / step)) for step in range(1, 9)]
    assert curve(events, "loss") == expected
    read, _, notes = sorted(events.iterdir())
    assert read == first
    assert read.stat().st_size == 0, "the points stand in one file"
    assert notes.name == "notes.txt"
    watching.Reload()
    assert [(point.step, point.value) for point in watching.Scalars("loss")] == expected
    # A third time there are no more files than that.
    train(tmp_path, 8, 9)
    assert len(list(events.iterdir())) == 3
    assert not read.exists()
    watching.Reload()
    assert [point.step for point in watching.Scalars("loss")] == list(range(1, 10))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()]
    assert steps == list(range(1, 10))


def test_control_two_files_lose_what_comes_in_the_earlier_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the file is written anew."""
    from torch.utils.tensorboard.writer import SummaryWriter

    watching = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    for now, step in [(2_000_000_000, 1), (1_000_000_000, 2)]:
        set_clock(monkeypatch, now)
        writer = SummaryWriter(str(tmp_path))  # type: ignore[no-untyped-call]
        writer.add_scalar("loss", 1.0, step)  # type: ignore[no-untyped-call]
        writer.close()  # type: ignore[no-untyped-call]
        watching.Reload()
    assert [point.step for point in watching.Scalars("loss")] == [1]


def test_lines_that_say_nothing_make_no_points(tmp_path: Path) -> None:
    lines = ['{"step": 1, "loss": 2.0, "val_perplexity": null}', "[1]", '{"loss": 1.0}', '{"st']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    scores = {"val_loss": 1.0, "val_perplexity": 2.0, "val_accuracy": 0.5, "val_tokens": 9.0}
    with Journal(tmp_path, first_step=1, last_step=1, log_steps=1, trains=False) as journal:
        journal.evaluation(1, scores, None)
    assert curve(tmp_path / "events", "loss") == [(1, 2.0)]
    assert [value for _, value in curve(tmp_path / "events", "val_perplexity")][1:] == [2.0]
