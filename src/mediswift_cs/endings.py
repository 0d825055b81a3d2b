"""How a command ends: its exit code, one line on standard error, and nothing left behind."""

import atexit
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from mediswift_cs.errors import (
    INTERRUPTED_EXIT_CODE,
    JOB_FAILED_EXIT_CODE,
    USER_ERROR_EXIT_CODE,
    MediSwiftError,
)

_OURS = "mediswift_cs"


# How long after it a signal comes again, where it fell into something that cannot raise it.
AGAIN_SECONDS = 0.05
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
# Signals that are to come again.
_put_off: set[int] = set()


def exit_code_of(job: Callable[[], int], *, ends_process: bool = False) -> int:
    """The exit code of a command; whatever a user meets is one line on standard error.

    That is 2 for a MediSwiftError (where it says no other), for a package that is not installed and
    for a file that cannot be read or written, and 130 for Ctrl-C. A reader of the output that has
    left, such as ``head``, is no error.

    Args:
        ends_process: the process ends with this code. Ctrl-C, where it was blocked until now, is
            answered from here on, and ignored once the code is known.

    Raises:
        SystemExit: a termination signal came; temporary files are removed on the way out.
    """
    code = 0
    try:
        with _unwind_on_interrupt(ends_process), _unwind_on_termination():
            _replace_closed_output()
            code = job()
            send_what_is_put_off()
            # Here, because nobody could catch the error at the end of the process.
            sys.stdout.flush()
            return code
    except MediSwiftError as error:
        return _tell(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _tell("interrupted", INTERRUPTED_EXIT_CODE)
        if ends_process:
            _leave(INTERRUPTED_EXIT_CODE)
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError as error:
        if not _reader_has_left():
            return _tell(f"error: {error}", JOB_FAILED_EXIT_CODE)
        _discard_output()
        return code
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(_OURS):
            raise
        from mediswift_cs.packages import missing_package

        return _tell(f"error: {missing_package(error.name)}")
    except OSError as error:
        place = error.filename
        if not _can_flush_output():
            _discard_output()
            place = place or "standard output"
        reason = error.strerror or str(error) or type(error).__name__
        return _tell(f"error: {place}: {reason}" if place else f"error: {reason}")


def _leave(code: int) -> None:
    """End the process, as its end would do it, with ``code``.

    Where an interrupt has fallen into the start of an extension module, CPython remembers it and
    ends itself with the signal instead, although somebody has answered it.
    """
    # What was registered to run at the end; there is no public name for it.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _tell(line: str, code: int = USER_ERROR_EXIT_CODE) -> int:
    # Where not even this can be written, the code alone has to do.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
    return code


@contextmanager
def _unwind_on_interrupt(ends_process: bool) -> Iterator[None]:
    """Let SIGINT end the block with KeyboardInterrupt, also where Python or a package loses it."""
    is_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    if not is_main or previous is not signal.default_int_handler:
        yield
        return
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if not _is_put_off(number, frame):
            _come_again(number)
            signal.default_int_handler(number, frame)

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        # Raised in a destructor or a callback of the import system: once more, after it.
        if lost.exc_type is KeyboardInterrupt:
            _come_again(signal.SIGINT)
        else:
            sys.__unraisablehook__(lost)

    previous_hook, sys.unraisablehook = sys.unraisablehook, hook
    signal.signal(signal.SIGINT, handle)
    try:
        if ends_process:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield
    except MediSwiftError:
        # Somebody has seen the interrupt, and says more of it.
        raise
    except Exception as error:
        # Extension modules make an ImportError of what is raised while they are imported.
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if ends_process else previous)
        _forget_what_is_put_off()
        sys.unraisablehook = previous_hook


def _is_put_off(number: int, frame: FrameType | None) -> bool:
    """Let a signal come again if it fell into an import; returns whether it did.

    Packages answer what is raised while they are imported with other errors, and some that are
    written in Rust with a stack trace of their own.
    """
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            _come_again(number)
            return True
        frame = frame.f_back
    return False


def _come_again(number: int) -> None:
    def send(_number: int, _frame: FrameType | None) -> None:
        if _is_interrupted():
            _put_off.discard(signal.SIGINT)
        send_what_is_put_off()

    # No thread: the signal may have fallen into what would start one, and before another program
    # takes this process a thread would get the signals that are blocked in this one.
    _put_off.add(number)
    signal.signal(signal.SIGALRM, send)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)


def _is_interrupted() -> bool:
    """Whether KeyboardInterrupt is on its way: packages have lost it, and went on."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def send_what_is_put_off() -> None:
    """Let signals that fell into an import come now: before another program takes this process.

    One that is blocked reaches that program.
    """
    for number in _forget_what_is_put_off():
        signal.raise_signal(number)


def _forget_what_is_put_off() -> list[int]:
    """Returns it; without a handler, as when Python ends, the alarm would end the process."""
    numbers = sorted(_put_off)
    if numbers:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _put_off.clear()
    return numbers


@contextmanager
def _unwind_on_termination() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in this process, unless somebody else has a use for it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # A forked worker has nothing to clear up: it ends at once.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if not _is_put_off(number, frame):
            raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _forget_what_is_put_off()


@contextmanager
def signals_put_off() -> Iterator[None]:
    """Ctrl-C and termination raise at the end of the block, and not within it.

    A process that the block starts is known then to whoever has to wait for it or to end it.
    """
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    # A new process has the default in the place of a handler, and ignores what this one ignores.
    handlers = {number: signal.getsignal(number) for number in numbers}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Commands of this package that the block starts get Ctrl-C once they can answer it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _replace_closed_output() -> None:
    """Python has None for an output that was closed (``>&-``), which has no method to call."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads: jobs have other pipes too."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _can_flush_output() -> bool:
    """Text that could not be written is still there, and fails again."""
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _discard_output() -> None:
    """Let what is left in the buffer go nowhere, so that the end of the process is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
