"""A terminal of a known size, in which tests run commands."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Sequence
from pathlib import Path


def in_terminal(argv: Sequence[str | Path], *, num_columns: int = 120) -> tuple[int, list[str]]:
    """Run a command whose three streams are a terminal; its exit code, and each line drawn."""
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 40, num_columns, 0, 0))
        os.execv(argv[0], [str(word) for word in argv])
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        # The other side is closed.
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, [line for line in re.split(r"[\r\n]+", shown.decode()) if line.strip()]
