"""What libraries read once, when a process starts: glibc's allocator, the threads of OpenMP."""

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mediswift_cs.endings import send_what_is_put_off
from mediswift_cs.errors import ConfigError

# A training step allocates and frees the same large blocks over and over; keeping them in the
# process saves a quarter of a CPU step that would go into page faults.
ALLOCATOR_SETTINGS = {
    "MALLOC_TOP_PAD_": "536870912",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_MMAP_THRESHOLD_": "100000000000",
}

# Threads that spin while they wait for one another take the cores from whoever they wait for. The
# first is the standard's; libgomp and libiomp each have one of their own as well.
WAIT_SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
NUM_THREADS = "OMP_NUM_THREADS"

SECONDS_OF_LOOKING = 0.2


def thread_settings(num_threads: int | None) -> dict[str, str]:
    """The environment variables of OpenMP to set; what the user has set stays.

    Args:
        num_threads: as the user asks for; None takes OMP_NUM_THREADS, else :func:`default_threads`.

    Raises:
        ConfigError: ``num_threads`` is less than one or more than there are cores.
    """
    check_threads(num_threads)
    settings = {} if WAIT_SETTINGS.keys() & os.environ.keys() else dict(WAIT_SETTINGS)
    if num_threads is None and NUM_THREADS not in os.environ:
        num_threads = default_threads()
    return settings if num_threads is None else {**settings, NUM_THREADS: str(num_threads)}


def check_threads(num_threads: int | None) -> None:
    """Raise ConfigError for a ``--threads`` that cannot be: OpenMP hangs or dies of too many."""
    num_cores = len(_cores())
    if num_threads is not None and not 1 <= num_threads <= num_cores:
        raise ConfigError(
            f"--threads: got {num_threads}, allowed: 1 to {num_cores}, the number of CPUs"
        )


def restart(settings: dict[str, str]) -> None:
    """Start this process again with ``settings`` in its environment, unless they are there."""
    if settings.items() <= os.environ.items():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    # It stays blocked in the new program, until exit_code_of can answer it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    send_what_is_put_off()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})


def tune(num_threads: int | None, *, allocator: bool) -> None:
    """Prepare this process to compute on the CPU; call it before torch is imported.

    Args:
        num_threads: see :func:`thread_settings`.
        allocator: whether the allocator is worth starting the process again.

    Raises:
        ConfigError: ``num_threads`` cannot be.
    """
    settings = thread_settings(num_threads)
    if allocator and os.environ.get("MEDISWIFT_DEFAULT_ALLOCATOR") != "1":
        missing = {k: v for k, v in ALLOCATOR_SETTINGS.items() if k not in os.environ}
        restart(settings | missing)
    os.environ.update(settings)


def default_threads() -> int:
    """As many threads as cores that this process may use and nobody computes on; at least one."""
    limit = int(min(len(_cores()), cgroup_limit()))
    return max(1, min(limit, round(idle_cores())))


def idle_cores(seconds: float = SECONDS_OF_LOOKING, source: Path = Path("/proc/stat")) -> float:
    """How many of this process's cores are idle now; all of them where the system does not say.

    The load average would count what this process, or the step of a job before it, did itself.
    """
    before = _core_times(source)
    time.sleep(seconds)
    after = _core_times(source)
    number = float(len(_cores()))
    for core, times in after.items():
        spent = [late - early for early, late in zip(before[core], times, strict=True)]
        # user, nice, system, idle, iowait, ...
        number -= 1 - sum(spent[3:5]) / sum(spent) if sum(spent) else 0
    return number


def _core_times(source: Path) -> dict[int, list[int]]:
    """Ticks in each state since the start of the machine, by number of core."""
    times = {}
    for line in _lines(source):
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in _cores():
            times[int(name[3:])] = [int(number) for number in numbers]
    return times


def cgroup_limit(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> float:
    """How many cores' time the control groups of this process allow; infinite without a limit."""
    folders = _groups("cpu", membership, root)
    return min((limit for folder in folders for limit in _limits_in(folder)), default=math.inf)


def memory_limit(
    membership: Path = Path("/proc/self/cgroup"),
    root: Path = Path("/sys/fs/cgroup"),
    source: Path = Path("/proc/meminfo"),
) -> float:
    """Bytes of memory of this machine, or fewer where control groups allow no more."""
    limits = [limit for limit, _ in _memory_limits(membership, root)]
    return min([*_meminfo("MemTotal:", source), *limits], default=math.inf)


def available_memory(
    membership: Path = Path("/proc/self/cgroup"),
    root: Path = Path("/sys/fs/cgroup"),
    source: Path = Path("/proc/meminfo"),
) -> float:
    """Bytes that this process can still take, by what Linux and its control groups say."""
    left = [limit - used for limit, used in _memory_limits(membership, root)]
    return min([*_meminfo("MemAvailable:", source), *left], default=math.inf)


def _memory_limits(membership: Path, root: Path) -> Iterator[tuple[int, int]]:
    """The limit of each control group, and what is taken of it beside copies of files on disk."""
    for folder in _groups("memory", membership, root):
        stat = dict(line.split(maxsplit=1) for line in _lines(folder / "memory.stat"))
        # As either version of control groups calls it; "max" is no number.
        for limit, used, files, in_memory in (
            ("memory.max", "memory.current", "file", "shmem"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache", "total_shmem"),
        ):
            most, taken = (
                [int(line) for line in _lines(folder / name) if line.isdigit()]
                for name in (limit, used)
            )
            # Files that are in memory alone cannot be given back.
            copies = int(stat.get(files, 0)) - int(stat.get(in_memory, 0))
            yield from ((number, sum(taken) - copies) for number in most)


def _meminfo(key: str, source: Path) -> list[int]:
    """Bytes of one line of Linux's account, which other systems do not keep."""
    return [int(line.split()[1]) * 1024 for line in _lines(source) if line.startswith(key)]


def _groups(controller: str, membership: Path, root: Path) -> Iterator[Path]:
    """The folders of the control groups that limit this process."""
    for line in _lines(membership):
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        # In a container the name is often one that only the host has: the top is its group then.
        group = top / name.lstrip("/")
        yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _limits_in(folder: Path) -> Iterator[float]:
    """The quota over the period, as either version of control groups writes it."""
    split = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
    for files in ((folder / "cpu.max",), split):
        with suppress(ValueError):
            # "max" is no number, and -1 is what the first version has in its place.
            quota, period = (int(word) for file in files for word in " ".join(_lines(file)).split())
            if quota > 0 and period > 0:
                yield quota / period


def _cores() -> set[int]:
    """The numbers of the cores that this process may run on."""
    return os.sched_getaffinity(0)


def _lines(path: Path) -> list[str]:
    """Of a file that not every system has."""
    with suppress(OSError):
        return path.read_text().splitlines()
    return []
