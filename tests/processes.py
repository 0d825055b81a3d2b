"""Processes that tests kill and look for."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def is_running(process: int) -> bool:
    """Whether it is there; a zombie has ended, only that nobody has looked yet."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def alive_in_session(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def all_end(processes: Iterable[int], seconds: float = 20) -> bool:
    """Whether they have ended before the time is over."""
    end = time.monotonic() + seconds
    while (some_run := any(map(is_running, processes))) and time.monotonic() < end:
        time.sleep(0.05)
    return not some_run


def kill_anywhere(
    command: Sequence[str | Path],
    folder: Path,
    seed: int,
    most_files: int,
    kill: Callable[[int, int], None] = os.killpg,
) -> None:
    """Start a command three times; each is killed when it has written up to so many files."""
    random_, num_killed = random.Random(seed), 0
    for _ in range(3):
        wanted = len(list(folder.rglob("*"))) + random_.randint(1, most_files)
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
        )
        while process.poll() is None and len(list(folder.rglob("*"))) < wanted:
            time.sleep(0.002)
        if process.poll() is None:
            kill(process.pid, signal.SIGKILL)
            num_killed += 1
        process.wait()
    assert num_killed
