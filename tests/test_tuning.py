"""What is set before a process computes, and how many threads it takes."""

import math
import os
from pathlib import Path

import pytest

from mediswift_cs import tuning
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.run_options import threads_of_run
from mediswift_cs.tuning import cgroup_limit, default_threads, idle_cores, thread_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*tuning.WAIT_SETTINGS, tuning.NUM_THREADS):
        monkeypatch.delenv(name, raising=False)


def machine(
    monkeypatch: pytest.MonkeyPatch, *, cores: int, limit: float = math.inf, idle: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(tuning, "cgroup_limit", lambda: limit)
    monkeypatch.setattr(tuning, "idle_cores", lambda: idle)


@pytest.mark.parametrize(
    ("cores", "limit", "idle", "threads"),
    [
        (8, math.inf, 8.0, 8),
        (8, math.inf, 5.2, 5),
        (8, 2.5, 7.9, 2),
        (8, 0.5, 7.9, 1),
        (2, math.inf, 0.0, 1),
        (2, math.inf, 2.7, 2),
    ],
)
def test_as_many_threads_as_cores_are_free(
    monkeypatch: pytest.MonkeyPatch, cores: int, limit: float, idle: float, threads: int
) -> None:
    machine(monkeypatch, cores=cores, limit=limit, idle=idle)
    assert default_threads() == threads
    assert thread_settings(None) == {**tuning.WAIT_SETTINGS, "OMP_NUM_THREADS": str(threads)}


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cores=4, idle=4.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_settings(None) == tuning.WAIT_SETTINGS
    assert thread_settings(2)["OMP_NUM_THREADS"] == "2", "an option is the user's later word"
    # The libraries' own variables would take the place of the standard's.
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert thread_settings(None) == {}
    for number in (0, 5, -1):
        with pytest.raises(ConfigError, match=f"--threads: got {number}, allowed: 1 to 4, the"):
            thread_settings(number)


def test_the_limit_of_control_groups(tmp_path: Path) -> None:
    membership, root = tmp_path / "cgroup", tmp_path / "fs"
    inner = root / "pod" / "box"
    inner.mkdir(parents=True)
    membership.write_text("0::/pod/box\n")
    assert cgroup_limit(membership, root) == math.inf
    (inner / "cpu.max").write_text("max 100000\n")
    assert cgroup_limit(membership, root) == math.inf
    (root / "pod" / "cpu.max").write_text("150000 100000\n")
    assert cgroup_limit(membership, root) == 1.5, "a group above limits those in it"
    membership.write_text("0::/of/the/host\n")
    assert cgroup_limit(membership, root) == math.inf
    (root / "cpu.max").write_text("400000 100000\n")
    assert cgroup_limit(membership, root) == 4.0
    # The first version; its other controllers do not matter.
    (root / "cpu").mkdir()
    membership.write_text("5:memory:/a\n3:cpu,cpuacct:/a\n")
    (root / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_limit(membership, root) == math.inf
    (root / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert cgroup_limit(membership, root) == 3.0
    assert cgroup_limit(tmp_path / "absent", root) == math.inf


def test_idle_cores_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    source = tmp_path / "stat"
    source.write_text("cpu 9 9 9 9 9\ncpu0 10 0 0 50 0\ncpu1 0 0 0 0 0\ncpu2 5 0 0 0 0\nintr 1\n")

    def later(_: float) -> None:
        # Core 0 was busy for a quarter of the time, core 2 all of it.
        source.write_text("cpu0 15 0 0 60 5\ncpu1 9 0 0 0 0\ncpu2 20 0 5 0 0\n")

    monkeypatch.setattr("time.sleep", later)
    assert idle_cores(source=source) == pytest.approx(0.75)
    assert idle_cores(source=tmp_path / "absent") == 2.0


def test_a_run_that_goes_on_takes_the_threads_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads_of_run(tmp_path) is None
    for content, expected in (
        ('{"num_threads": 1}', 1),
        ('{"num_threads": 9999}', None),
        ("[", None),
    ):
        (tmp_path / "origin.json").write_text(content)
        assert threads_of_run(tmp_path) == expected
    (tmp_path / "origin.json").write_text('{"num_threads": 1}')
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_of_run(tmp_path) is None, "the user's own word"


def test_memory_of_a_container(tmp_path: Path) -> None:
    membership, meminfo = tmp_path / "cgroup", tmp_path / "meminfo"
    membership.write_text("0::/job\n")
    meminfo.write_text("MemFree: 1 kB\nMemTotal:  1000 kB\n")
    (tmp_path / "fs" / "job").mkdir(parents=True)
    limit = tmp_path / "fs" / "job" / "memory.max"
    limit.write_text("max\n")
    assert tuning.memory_limit(membership, tmp_path / "fs", meminfo) == 1_024_000
    limit.write_text("5000\n")
    assert tuning.memory_limit(membership, tmp_path / "fs", meminfo) == 5000


@pytest.mark.parametrize("version", [1, 2])
def test_memory_that_a_container_has_left(tmp_path: Path, version: int) -> None:
    membership, meminfo, root = tmp_path / "cgroup", tmp_path / "meminfo", tmp_path / "fs"
    membership.write_text("4:memory:/job\n" if version == 1 else "0::/job\n")
    meminfo.write_text("MemTotal:  1000 kB\nMemAvailable:  10 kB\n")
    group = root / "memory" / "job" if version == 1 else root / "job"
    group.mkdir(parents=True)
    names = ("limit_in_bytes", "usage_in_bytes") if version == 1 else ("max", "current")
    limit, used = (group / f"memory.{name}" for name in names)
    limit.write_text("max\n")
    assert tuning.available_memory(membership, root, meminfo) == 10_240
    limit.write_text("5000\n")
    assert tuning.available_memory(membership, root, meminfo) == 5000
    used.write_text("3000\n")
    assert tuning.available_memory(membership, root, meminfo) == 2000
    # Copies of files, which Linux gives back, are counted as used; so are files without a disk.
    files, in_memory = ("total_cache", "total_shmem") if version == 1 else ("file", "shmem")
    (group / "memory.stat").write_text(f"anon 2200\n{files} 800\n{in_memory} 100\n")
    assert tuning.available_memory(membership, root, meminfo) == 2700
    # Control: the machine itself has less.
    meminfo.write_text("MemTotal:  1000 kB\nMemAvailable:  1 kB\n")
    assert tuning.available_memory(membership, root, meminfo) == 1024
