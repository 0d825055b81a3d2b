"""A full disk: one sentence with the file, exit code 2, and the checkpoints before it whole.

The disk is a small one in memory where this machine can mount it. A limit on the size of a file
takes its place for the files that a run adds to line by line.
"""

import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.storage.write import append
from mediswift_cs.training.events import EventFile

from .conftest import Run

STEPS = ("--set", "trainer.init.logging.log_steps=1")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many KiB; it is gone after the test."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(num_kib: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={num_kib}k", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this machine cannot mount a small disk: {done.stderr.strip()}")
        return folder

    yield make
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def error_in(output: str) -> str:
    """The one line that says what went wrong, where nothing else does."""
    assert "Traceback" not in output, output
    assert "Logging error" not in output, output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("engine", ["torch", "cerebras"])
def test_no_room_for_the_second_checkpoint(
    run: Run, mount: Callable[[int], Path], engine: str
) -> None:
    out = mount(800) / "out"
    code, output = run("--model_dir", str(out), "--engine", engine, *STEPS)
    assert code == 2, output
    line = error_in(output)
    assert f"{out}/checkpoint_12.mdl" in line
    assert "No space left on device" in line
    assert [path.name for path in out.glob("*.mdl*")] == ["checkpoint_6.mdl"]
    with h5py.File(out / "checkpoint_6.mdl") as file:
        assert file.attrs["__SUCCESS__"]
    # With room the same command goes on.
    command = ["mount", "-o", "remount,size=4m", str(out.parent)]
    subprocess.run(command, check=True, capture_output=True)
    code, output = run("--model_dir", str(out), "--engine", engine, *STEPS)
    assert code == 0, output
    assert "continuing from" in output
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))


# Each file is the first of a run that grows beyond so many bytes.
@pytest.mark.parametrize(
    ("name", "num_bytes"), [("run.log", 5), ("run.log", 400), ("checkpoint_6.mdl", 100_000)]
)
def test_each_file_is_named(run: Run, tmp_path: Path, name: str, num_bytes: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Inherited by the run; this process writes nothing meanwhile.
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        code, output = run("--model_dir", "out", *STEPS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2, output
    line = error_in(output)
    assert name in line
    assert "File too large" in line
    assert not list((tmp_path / "out").glob("*.mdl*")), "nothing half-written"


def test_a_file_that_is_added_to_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, b"a whole line\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    events = EventFile(tmp_path / "events", [])
    size = events.path.stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
        with pytest.raises(DataError, match=r"cannot write .*metrics\.jsonl: File too large"):
            append(path, b"another whole line\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))
        with pytest.raises(DataError, match=r"cannot write .*events\.out\.tfevents.*: File too"):
            events.write(1, {"loss": 1.0})
        with pytest.raises(DataError, match=r"cannot write .*events\.out\.tfevents.*: File too"):
            EventFile(tmp_path / "events", [(1, {"loss": 1.0})])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"a whole line\n"
    assert events.path.stat().st_size == size
    assert list((tmp_path / "events").iterdir()) == [events.path]
    append(path, b"another whole line\n")
    assert path.read_bytes().count(b"\n") == 2, "control: with room it is added"
