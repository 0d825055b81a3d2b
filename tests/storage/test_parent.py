"""What a killed process has started ends with it."""

import subprocess
import sys
import time

import pytest

from ..processes import all_end, is_running

# Starts a process, says which, and is killed.
PARENT = """
import subprocess, sys, time
from mediswift_cs.storage.parent import environment_of_child
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=environment_of_child()).pid)
sys.stdout.flush()
time.sleep(60)
"""
CHILD = "from mediswift_cs.storage.parent import end_with_parent as e; e(); import time; {}"
# A further process has inherited the variable, and does not take its grandparent for its parent.
GRANDCHILD = (
    "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', "
    "'from mediswift_cs.storage.parent import end_with_parent as e; e(); "
    "import time; time.sleep(2.5)']).returncode)"
)


def start(child: str) -> tuple["subprocess.Popen[str]", int]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("watches", [True, False], ids=["watching", "control"])
def test_a_child_ends_with_its_killed_parent(watches: bool) -> None:
    sleep = "time.sleep(30)"
    process, child = start(CHILD.format(sleep) if watches else f"import time; {sleep}")
    time.sleep(1)
    assert is_running(child)
    process.kill()
    process.wait()
    assert all_end([child], seconds=20 if watches else 3) is watches
    if not watches:
        subprocess.run(["kill", "-9", str(child)], check=True)


def test_a_child_whose_parent_has_gone_before_it_looks_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setenv("MEDISWIFT_PARENT", str(gone.pid))
    command = [sys.executable, "-c", CHILD.format("print(1)")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_process_further_down_has_another_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDISWIFT_PARENT", "1")
    assert subprocess.run([sys.executable, "-c", GRANDCHILD], check=False).returncode == 0
