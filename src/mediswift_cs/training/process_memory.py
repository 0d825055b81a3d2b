"""Peak memory of a process tree, sampled while it runs (Linux)."""

import os
import threading
from pathlib import Path

SECONDS_BETWEEN_SAMPLES = 0.1


class PeakMemory:
    """Samples this process and all its descendants until it is closed.

    Memory is proportional set size: what several processes share counts once.
    """

    def __init__(self) -> None:
        self.num_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_SAMPLES):
            self.num_bytes = max(self.num_bytes, tree_memory(os.getpid()))


def tree_memory(process_id: int) -> int:
    """Bytes that a process and its descendants hold now; those that just ended count 0."""
    folder = Path(f"/proc/{process_id}")
    try:
        rollup = (folder / "smaps_rollup").read_text()
        children = [
            int(child)
            for task in (folder / "task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    own = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(own.split()[1]) * 1024 + sum(map(tree_memory, children))


def seconds_since_start() -> float:
    """Wall time since this process began, its imports included."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # The 22nd field of proc(5), in clock ticks since boot; the first two are cut off.
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started
