"""The tracing process from outside: started, followed, its memory sampled (Linux)."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mediswift_cs.endings import signals_put_off
from mediswift_cs.storage.parent import environment_of_child

TRACE_COMMAND = (sys.executable, "-m", "mediswift_cs.csx.trace")
TRAINING, EVALUATION = "training", "evaluation"
REQUEST_FILE, RESULT_FILE, LOG_FILE = "request.json", "result.json", "trace.log"

SECONDS_BETWEEN_LOOKS = 0.1


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
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
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


def clear_outputs(folder: Path) -> None:
    """Remove what a first attempt left, so that nothing of it can be taken for the second's."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (folder / RESULT_FILE).unlink(missing_ok=True)


def run_trace(
    folder: Path,
    trace_command: Sequence[str],
    on_stage: Callable[[str], None],
    *,
    with_locations: bool,
) -> dict[str, Any]:
    """Run the tracing process to its end; returns its result and, as ``status``, its exit code.

    Args:
        folder: of the request; results and logs go there too.
        on_stage: is told what is being done whenever that changes.
    """
    environment = {
        **environment_of_child(),
        "CSTORCH_DEBUG": "1" if with_locations else "0",
        "OMP_NUM_THREADS": "1",
        "TORCH_NUM_THREADS": "1",
    }
    # Settings for a long CPU run hold on to memory that this short process gives back.
    for name in ("MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        environment.pop(name, None)
    command = [*trace_command, str(folder / REQUEST_FILE), str(folder / RESULT_FILE)]
    with (folder / LOG_FILE).open("wb") as log:
        process: subprocess.Popen[bytes] | None = None
        try:
            with signals_put_off():
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            status = _follow(process, folder / RESULT_FILE, on_stage)
        finally:
            if process is not None:
                process.kill()
    return {**_read_result(folder / RESULT_FILE), "status": status}


def _follow(
    process: subprocess.Popen[bytes], result_file: Path, on_stage: Callable[[str], None]
) -> int:
    # As the process itself says once it has imported torch, which takes a while.
    stage = "starting"
    on_stage(stage)
    while True:
        try:
            return process.wait(timeout=SECONDS_BETWEEN_LOOKS)
        except subprocess.TimeoutExpired:
            found = _read_result(result_file).get("stage")
            if found is not None and found != stage:
                stage = found
                on_stage(stage)


def _read_result(result_file: Path) -> dict[str, Any]:
    """What the tracing process has written so far."""
    result: dict[str, Any] = json.loads(result_file.read_text()) if result_file.is_file() else {}
    return result
