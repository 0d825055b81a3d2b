"""A command of this package as a step of another one: in a process of its own, as it is typed."""

import shlex
import sys
from pathlib import Path

from mediswift_cs.child import exit_code_of_command
from mediswift_cs.errors import INTERRUPTED_EXIT_CODE, JOB_FAILED_EXIT_CODE, MediSwiftError


class StepError(MediSwiftError):
    """A step failed; its own message stands above, its exit code is that of the whole."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        # A step that a signal has killed has a negative one.
        self.exit_code = exit_code if exit_code > 0 else JOB_FAILED_EXIT_CODE


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
