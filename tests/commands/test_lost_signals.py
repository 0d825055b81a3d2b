"""Ctrl-C that falls into what cannot raise it, or that a package loses: it comes all the same."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from mediswift_cs.endings import AGAIN_SECONDS, exit_code_of


def test_ctrl_c_that_python_or_a_package_loses(tmp_path: Path) -> None:
    """Of what is raised in a destructor Python prints a traceback and goes on."""
    script = tmp_path / "lost.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from mediswift_cs.endings import exit_code_of\n"
        "class Callback:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(0.01)\n"
        "def job():\n"
        "    if sys.argv[1] == 'destructor':\n"
        "        Callback()\n"
        "        time.sleep(30)\n"
        "    if sys.argv[1] == 'lost':\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        except BaseException:\n"
        "            pass\n"
        "        time.sleep(30)\n"
        "    if sys.argv[1] == 'cleanup':\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        finally:\n"
        "            time.sleep(0.3)\n"
        "            print('cleaned up')\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(1)\n"
        "    except KeyboardInterrupt as error:\n"
        "        raise ImportError('initialization failed') from error\n"
        "sys.exit(exit_code_of(job, ends_process=True))\n"
    )
    for way in ("destructor", "import", "lost", "cleanup"):
        command = [sys.executable, str(script), way]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=25)
        assert (done.returncode, done.stderr) == (130, "interrupted\n"), way


IMPORTING = """
import os, signal, sys, time
from mediswift_cs.endings import exit_code_of, send_what_is_put_off

def job():
    import package_of_somebody
    AFTER
    return 0

sys.exit(exit_code_of(job, ends_process=True))
"""
# As pydantic does, whose core is written in Rust: what Python raises in it is told as a panic.
PACKAGE = """
import os, signal

class Panic(BaseException):
    pass

try:
    os.kill(os.getpid(), NUMBER)
    sum(range(1000))
except BaseException as error:
    print("thread panicked")
    raise Panic from error
"""


@pytest.mark.parametrize("after", ["time.sleep(20)", "pass", "send_what_is_put_off(); os._exit(1)"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", 143, "")]
)
def test_a_signal_within_an_import_comes_after_it(
    tmp_path: Path, number: str, code: int, said: str, after: str
) -> None:
    (tmp_path / "program.py").write_text(IMPORTING.replace("AFTER", after))
    (tmp_path / "package_of_somebody.py").write_text(PACKAGE.replace("NUMBER", f"signal.{number}"))
    command = [sys.executable, "program.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert (done.returncode, done.stderr, done.stdout) == (code, said, "")


PROGRAM = """
import ctypes, os, signal, sys
from mediswift_cs.endings import exit_code_of

def job():
    # As where Ctrl-C falls into code that an extension module runs while it starts.
    ctypes.pythonapi.PyRun_String.restype = ctypes.py_object
    scope = ctypes.py_object({})
    ctypes.pythonapi.PyRun_String(b"raise KeyboardInterrupt", 257, scope, scope)
    return 0

sys.exit(exit_code_of(job, ends_process=ENDS))
"""


@pytest.mark.parametrize(("ends", "code"), [("True", 130), ("False", -signal.SIGINT)])
def test_an_interrupt_in_the_start_of_an_extension_is_130(
    tmp_path: Path, ends: str, code: int
) -> None:
    """Control: CPython by itself, which has started a module, ends with the signal."""
    (tmp_path / "program.py").write_text(PROGRAM.replace("ENDS", ends))
    result = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert result.stderr == "interrupted\n"


@pytest.mark.parametrize("is_lost", [False, True])
def test_no_alarm_is_left_that_would_end_the_process(is_lost: bool) -> None:
    armed = []

    def interrupt() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            armed.append(signal.getitimer(signal.ITIMER_REAL)[0])

    def job() -> int:
        # As a package that loses it, and ends before it comes again.
        with suppress(KeyboardInterrupt) if is_lost else nullcontext():
            interrupt()
        return 0

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert exit_code_of(job) == 130
    finally:
        signal.signal(signal.SIGINT, previous)
    assert 0 < armed[0] <= AGAIN_SECONDS, "control: one was there"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
