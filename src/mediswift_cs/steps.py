"""A command of this package in a process of its own, such as a step of another command."""

import shlex
import subprocess
import sys
from pathlib import Path

from mediswift_cs.endings import interrupts_blocked, signals_put_off
from mediswift_cs.errors import INTERRUPTED_EXIT_CODE, JOB_FAILED_EXIT_CODE, MediSwiftError
from mediswift_cs.storage.parent import environment_of_child


class StepError(MediSwiftError):
    """A step failed; its own message stands above, its exit code is that of the whole."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        # A step that a signal has killed has a negative one.
        self.exit_code = exit_code if exit_code > 0 else JOB_FAILED_EXIT_CODE


def exit_code_of_command(*arguments: str, passes_ctrl_c_on: bool = False) -> int:
    """Run ``mediswift ARGUMENTS`` to its end; returns its exit code, 130 after Ctrl-C.

    A process that is terminated terminates the command first.

    Args:
        passes_ctrl_c_on: tell the command of a Ctrl-C, with a termination signal. A terminal tells
            it by itself; a training run takes the two for one.
    """
    command = [sys.executable, "-m", "mediswift_cs.cli", *arguments]
    process: subprocess.Popen[bytes] | None = None
    try:
        with signals_put_off(), interrupts_blocked():
            process = subprocess.Popen(command, env=environment_of_child())
        return process.wait()
    except KeyboardInterrupt:
        # It may have a state to save.
        if process is not None:
            if passes_ctrl_c_on:
                process.terminate()
            process.wait()
        return INTERRUPTED_EXIT_CODE
    except SystemExit:
        if process is not None:
            process.terminate()
            process.wait()
        raise


def run_step(whole: str, name: str, *arguments: str) -> None:
    """Run ``mediswift ARGUMENTS`` in a process of its own, which ends with this one.

    Args:
        whole: what the step is one of, for the message of one that was stopped.

    Raises:
        StepError: it ended with another code than 0.
    """
    # As it can be typed: the command of this environment, which need not be on the PATH.
    program = Path(sys.executable).with_name("mediswift")
    shown = program if program.exists() else "mediswift"
    print(f"\n--- {name}: {_relative(Path(shown))} {shlex.join(arguments)}", flush=True)
    code = exit_code_of_command(*arguments)
    if code == INTERRUPTED_EXIT_CODE:
        raise StepError(f"stopped during {name}; run {whole} again to go on", code)
    if code != 0:
        raise StepError(f"the step {name} ended with exit code {code}", code)


def _relative(program: Path) -> Path:
    """The path from the current folder, where it is below it."""
    try:
        return program.relative_to(Path.cwd())
    except ValueError:
        return program
