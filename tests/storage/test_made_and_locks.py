"""What is there already, one process at a time, and a pool that ends with its parent."""

import errno
import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.storage.checksums import hash64, md5_of, sha256_of
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.made import check_same, is_empty, is_unbegun
from mediswift_cs.storage.processes import process_pool

from ..processes import all_end

POOL = """
import sys, time
from mediswift_cs.storage.processes import process_pool
if __name__ == "__main__":
    with process_pool(2, begin=None) as pool:
        for job in [pool.submit(time.sleep, 0.2) for _ in range(2)]:
            job.result()
        print(*(pool._processes), flush=True)
        time.sleep(600)
"""


def test_checksums_are_those_of_hashlib(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert md5_of(path) == hashlib.md5(b"content").hexdigest()
    assert sha256_of(path) == hashlib.sha256(b"content").hexdigest()


def test_64_bits_of_a_text_are_the_same_for_ever() -> None:
    # Splits, duplicates and n-grams of data that was made before rest on them.
    assert hash64("insulin") == 0xDA0A28DC48DE5757
    assert hash64("\ud800") == 0x4208783E927D0D68, "half a surrogate pair has a hash too"
    assert hash64("insulin ") != hash64("insulin"), "control"


def test_an_empty_folder_is_nothing(tmp_path: Path) -> None:
    assert is_empty(tmp_path)
    assert is_empty(tmp_path / "new")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not is_empty(tmp_path / "link")
    assert not is_empty(tmp_path)


def test_a_folder_without_its_first_file_is_not_begun(tmp_path: Path) -> None:
    folder = tmp_path / "a[1]"
    first = folder / "work" / "lock"
    assert is_unbegun(folder, first)
    first.parent.mkdir(parents=True)
    (first.parent / "lock.partial-1-00000000").touch()
    assert is_unbegun(folder, first)
    for other in (first, folder / "work" / "lock.txt", folder / "lock.partial-1", folder / "mine"):
        other.touch()
        assert not is_unbegun(folder, first), other
        other.unlink()
    (folder / "other").mkdir()
    assert not is_unbegun(folder, first)


def test_an_output_made_otherwise_is_not_replaced(tmp_path: Path) -> None:
    check_same(tmp_path, [])
    with pytest.raises(DataError, match="was made with other sources, options: give another"):
        check_same(tmp_path, ["sources", "options"])


def test_two_processes_cannot_hold_one_lock(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with (
        only_process(lock, "busy"),
        pytest.raises(DataError, match="busy"),
        only_process(lock, "busy"),
    ):
        pass
    with only_process(lock, "busy"):
        pass


def test_workers_have_one_thread_and_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with process_pool(1, begin=None) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as pool_:
        assert pool_.stdout is not None
        workers = [int(number) for number in pool_.stdout.readline().split()]
        assert len(workers) == 2
        assert all(Path(f"/proc/{worker}").exists() for worker in workers)
        pool_.send_signal(signal.SIGKILL)
    assert all_end(workers)


def test_the_refusal_names_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    name = rf"busy \(process {os.getpid()} on {re.escape(socket.gethostname())}\)"
    with only_process(lock, "busy"):
        refused = only_process(lock, "busy")
        with pytest.raises(DataError, match=name), refused:
            pass


def test_what_the_workers_of_a_killed_process_hold_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    gone = subprocess.Popen(["true"])
    gone.wait()
    with lock.open("w") as held:
        held.write(f"process {gone.pid} on {socket.gethostname()}")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                fcntl.flock(held, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", wait)
        with only_process(lock, "busy"):
            assert len(waited) == 3


def test_a_file_system_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_process(tmp_path / "lock", "busy"):
        assert (tmp_path / "lock").read_text().startswith("process ")
