"""Sampling the memory of a process tree."""

import subprocess
import sys

from mediswift_cs.csx.watched_trace import PeakMemory, seconds_since_start

HOLD = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(1)"


def test_memory_of_a_child_counts() -> None:
    with PeakMemory() as before:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
    with PeakMemory() as memory:
        subprocess.run([sys.executable, "-c", HOLD], check=True)
    assert 190e6 < memory.num_bytes - before.num_bytes < 260e6


def test_time_runs_from_the_start_of_the_process() -> None:
    program = (
        "import time; time.sleep(0.3)\n"
        "from mediswift_cs.csx.watched_trace import seconds_since_start\n"
        "print(seconds_since_start())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0.3 <= float(done.stdout) < 30
    assert seconds_since_start() > 0
