"""How a command ends that something outside of it ends: one line, and a code that says what."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mediswift_cs import cli, run
from mediswift_cs.endings import exit_code_of, signals_put_off
from mediswift_cs.storage.write import atomic_file

COMMAND = (sys.executable, "-m", "mediswift_cs.cli")
LONG = "9" * 300


@pytest.mark.parametrize(
    ("main", "module", "name"),
    [
        (cli.main, cli, "build_parser"),
        (cli.main, "mediswift_cs.commands.flops", "run"),
        (run.main, run, "run"),
    ],
)
def test_ctrl_c_is_one_line_and_130(
    main: Callable[[list[str]], int],
    module: object,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    if isinstance(module, str):
        monkeypatch.setattr(f"{module}.{name}", interrupted)
    else:
        monkeypatch.setattr(module, name, interrupted)
    assert main(["flops"] if main is cli.main else ["--params", "p"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_termination_clears_up(tmp_path: Path) -> None:
    """In this process: the default would end pytest."""

    def job() -> int:
        with atomic_file(tmp_path / "result"):
            assert len(list(tmp_path.iterdir())) == 1, "control: there is something to remove"
            child = os.fork()
            if child == 0:
                signal.raise_signal(signal.SIGTERM)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert os.WTERMSIG(status) == signal.SIGTERM, "a forked worker ends at once"
            signal.raise_signal(signal.SIGTERM)
        return 0

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(SystemExit) as ended:
        exit_code_of(job)
    assert ended.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "a caller finds it as it was"


@pytest.mark.parametrize(
    "arguments",
    [
        f"flops {LONG}",
        f"documents file --output {LONG}.jsonl.zst",
        f"inspect {LONG}",
        f"convert {LONG} out",
        f"shards file --tokenizer {LONG} --max-sequence-length 8 --output out",
    ],
)
def test_an_impossible_name_is_one_line_and_2(
    arguments: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert cli.main(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("File name too long")


def no_room() -> None:
    """Any file on any disk is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize(
    "arguments", ["flops", "params list", "params show mediswift_xl_75.yaml", "modelzoo status"]
)
def test_output_that_cannot_be_written(arguments: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=no_room,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("File too large")


def test_output_that_nobody_reads_or_that_is_closed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    show = [*COMMAND, "params", "show", "mediswift_xl_75.yaml"]
    done = subprocess.run(show, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    done = subprocess.run(show, stderr=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_broken_pipe_of_the_job_is_no_reader_that_left() -> None:
    code = (
        "from mediswift_cs.endings import exit_code_of\n"
        "def job():\n    raise BrokenPipeError(32, 'Broken pipe')\n"
        "raise SystemExit(exit_code_of(job))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"error: [Errno 32] Broken pipe\n"


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_is_put_off_until_the_block_has_ended(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    def handle(*_: object) -> None:
        raise raised

    ended = []

    def block() -> None:
        with signals_put_off():
            signal.raise_signal(number)
            ended.append(True)

    previous = signal.signal(number, handle)
    try:
        with pytest.raises(raised):
            block()
        with pytest.raises(raised):
            signal.raise_signal(number)
    finally:
        signal.signal(number, previous)
    assert ended


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_put_off():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, previous)


def test_ctrl_c_after_the_code_is_known_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from mediswift_cs.endings import exit_code_of\n"
        "code = exit_code_of(lambda: 1, ends_process={ends_process})\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "raise SystemExit(code)"
    )
    found = []
    for ends_process in (True, False):
        command = [sys.executable, "-c", code.format(ends_process=ends_process)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found.append((done.returncode, "KeyboardInterrupt" in done.stderr))
    assert found == [(1, False), (-signal.SIGINT, True)], "control: in a caller's process it is his"
