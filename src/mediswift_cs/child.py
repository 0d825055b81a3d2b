"""A command of this package in a process of its own."""

import subprocess
import sys

from mediswift_cs.endings import interrupts_blocked, signals_put_off
from mediswift_cs.errors import INTERRUPTED_EXIT_CODE
from mediswift_cs.storage.parent import environment_of_child


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
