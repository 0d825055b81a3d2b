"""What of an environment fits this package, and what to do about what does not."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs import packages, tuning
from mediswift_cs.packages import CEREBRAS, version_of

OK, NOTE, BAD = "ok", "note", "BAD"
# Packages of requirements/torch.txt: without torch they are not missed.
TORCH_PACKAGES = (
    "datasets",
    "matplotlib",
    "tensorboard",
    "torch",
    "transformers",
    "xxhash",
)
GIB = 2**30
# Below the first nothing can be made; an xl checkpoint with its optimizer needs the second.
LITTLE_DISK, XL_DISK = 1 * GIB, 16 * GIB
LITTLE_MEMORY = 2 * GIB
IMPORT_SECONDS = 300

PROBE_TORCH = """
import json, torch
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps({"gpus": names if torch.cuda.is_available() else [], "cuda": torch.version.cuda}))
"""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, its state (ok, note or BAD), what was found, what to do."""

    what: str
    state: str
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order in which one would mend them."""
    return [finding for check in CHECKS for finding in _findings_of(check)]


def _findings_of(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    what = check.__name__.removeprefix("check_")
    try:
        return list(check())
    except ModuleNotFoundError as error:
        advice = packages.missing_package(error.name or "").replace("this command", "doctor")
        return [Finding(what, BAD, f"cannot be told without {error.name}", advice)]
    except Exception as error:
        # A package that is there and broken may raise anything.
        reason = (str(error).splitlines() or [""])[0]
        text = f"cannot be told: {type(error).__name__}: {reason}"
        return [Finding(what, BAD, text, packages.checkout_command())]


def check_python() -> Iterator[Finding]:
    """Is this a Python that the package is for."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    found = f"{version} ({sys.executable})"
    try:
        allowed = importlib.metadata.metadata(packages.OWN)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        yield Finding("Python", NOTE, f"{found}; {packages.OWN} is not installed, only imported")
        return
    if SpecifierSet(allowed).contains(version, prereleases=True):
        yield Finding("Python", OK, found)
    else:
        advice = f"make an environment with a Python that is {allowed}"
        yield Finding("Python", BAD, f"{found}, allowed: {allowed}", advice)


def check_packages() -> Iterator[Finding]:
    """Is each package there, in a version that setup.cfg allows."""
    with_cerebras, with_torch = version_of(CEREBRAS) is not None, version_of("torch") is not None
    asked = packages.asked_for(with_cerebras=with_cerebras)
    if not with_torch:
        asked = {name: bound for name, bound in asked.items() if name not in TORCH_PACKAGES}
    wrong = []
    for name, bound in asked.items():
        version = version_of(name)
        if version is None or not bound.contains(version, prereleases=True):
            wrong.append(name)
            advice = f"pip install '{name}{bound}'"
            yield Finding(name, BAD, f"{version or 'not installed'}, allowed: {bound}", advice)
    if not asked:
        text = f"not looked at: {packages.OWN} is not installed, only imported"
        yield Finding("packages", NOTE, text, packages.checkout_command())
    elif not wrong:
        yield Finding("packages", OK, f"{len(asked)} as asked for")


def check_torch() -> Iterator[Finding]:
    """Can torch be imported, and does it see a GPU."""
    version = version_of("torch")
    if version is None:
        text = "not installed, which training, evaluation and the comparison of logits need"
        yield Finding("torch", NOTE, text, packages.checkout_command())
        return
    answer, failure = _probe(PROBE_TORCH)
    if failure:
        text = f"{version} cannot be imported: {failure}"
        yield Finding("torch", BAD, text, packages.checkout_command())
        return
    yield Finding("torch", OK, version)
    found = json.loads(answer)
    if found["gpus"]:
        yield Finding("GPU", OK, ", ".join(found["gpus"]))
    elif shutil.which("nvidia-smi") is None:
        yield Finding("GPU", NOTE, "no NVIDIA driver (nvidia-smi); runs are on the CPU")
    else:
        built = f"CUDA {found['cuda']}" if found["cuda"] else "the CPU alone"
        advice = "see what nvidia-smi says of the driver; install a torch built for its CUDA"
        yield Finding(
            "GPU", BAD, f"nvidia-smi is here, and torch finds no GPU (built for {built})", advice
        )


def check_cerebras() -> Iterator[Finding]:
    """Can cerebras-pytorch be imported."""
    version = version_of(CEREBRAS)
    if version is not None:
        _, failure = _probe("import cerebras.pytorch")
        advice = packages.checkout_command() if failure else ""
        text = f"{version} cannot be imported: {failure}" if failure else version
        yield Finding(CEREBRAS, BAD if failure else OK, text, advice)
        return
    text = "not installed, which CS-2 runs, the compile check and ModelZoo need"
    yield Finding(CEREBRAS, NOTE, text, packages.missing_package("cerebras").partition(": ")[2])


def check_modelzoo() -> Iterator[Finding]:
    """Is ModelZoo there with what it needs, and can cszoo be found."""
    from mediswift_cs.modelzoo import registration, site_hook

    if not registration.is_found():
        yield Finding("ModelZoo", NOTE, "not found", registration.HOW_TO_INSTALL)
        return
    version = packages.modelzoo_version() or "found"
    if missing := registration.missing_packages():
        text = f"{version}, without {', '.join(missing)}"
        yield Finding("ModelZoo", BAD, text, registration.INSTALL_PACKAGES)
    else:
        yield Finding("ModelZoo", OK, version)
    if advice := site_hook.missing_cszoo():
        yield Finding("cszoo", NOTE, "no such command in this environment", advice)
    else:
        yield _on_path("cszoo")


def check_extras() -> Iterator[Finding]:
    """Which extras are there; one that is there must be so in the versions asked for."""
    for extra in packages.extras():
        asked = packages.asked_for(extra)
        versions = {name: version_of(name) for name in asked}
        absent = [name for name, version in versions.items() if version is None]
        wrong = {
            name: version
            for name, version in versions.items()
            if version is not None and not asked[name].contains(version, prereleases=True)
        }
        what, advice = f"extra [{extra}]", packages.checkout_command(extra)
        if wrong and not absent:
            text = ", ".join(f"{n} {v}, allowed: {asked[n]}" for n, v in wrong.items())
            yield Finding(what, BAD, text, advice)
        elif absent:
            yield Finding(what, NOTE, f"not installed: {', '.join(absent)}", advice)
        else:
            yield Finding(what, OK, ", ".join(f"{n} {v}" for n, v in versions.items()))


def check_path() -> Iterator[Finding]:
    """Is the ``mediswift`` that a shell finds the one of this environment."""
    yield _on_path("mediswift")


def _on_path(command: str) -> Finding:
    scripts = Path(sysconfig.get_path("scripts"))
    activate = f"source {scripts}/activate, or call {scripts / command}"
    found = shutil.which(command)
    if found is None:
        return Finding(command, NOTE, "not on PATH: a shell says command not found", activate)
    # Links to it, such as pipx makes, are it too.
    if Path(found).resolve() == (scripts / command).resolve():
        return Finding(command, OK, found)
    return Finding(command, BAD, f"on PATH is another environment's: {found}", activate)


def check_cluster() -> Iterator[Finding]:
    """Is a Wafer-Scale Cluster configured where cerebras-pytorch looks for it."""
    from mediswift_cs.training.device import DEFAULT_CLUSTER_FILE

    given = os.environ.get("CSCONFIG_PATH")
    file = Path(given or DEFAULT_CLUSTER_FILE)
    if file.exists():
        yield Finding("cluster", OK, str(file))
    elif given:
        advice = "correct CSCONFIG_PATH or unset it"
        yield Finding("cluster", BAD, f"CSCONFIG_PATH is {given}, which does not exist", advice)
    else:
        text = f"none is configured ({DEFAULT_CLUSTER_FILE}, CSCONFIG_PATH)"
        yield Finding("cluster", NOTE, text, "for CSX runs: --mgmt_address HOST:PORT, or that file")


def check_machine() -> Iterator[Finding]:
    """Disk, memory and cores, within the limits of a container."""
    free = shutil.disk_usage(Path.cwd()).free
    state = BAD if free < LITTLE_DISK else NOTE if free < XL_DISK else OK
    advice = "" if state == OK else f"an xl checkpoint takes {XL_DISK // GIB} GiB: make room"
    yield Finding("disk", state, f"{free / GIB:.1f} GiB free in {Path.cwd()}", advice)
    memory = tuning.memory_limit()
    state, advice = OK, ""
    if memory < LITTLE_MEMORY:
        state, advice = BAD, f"give this machine or container {LITTLE_MEMORY // GIB} GiB or more"
    yield Finding("memory", state, f"{memory / GIB:.1f} GiB", advice)
    cores, limit = len(os.sched_getaffinity(0)), tuning.cgroup_limit()
    text = f"{cores} cores" if limit >= cores else f"{limit:g} cores' time of {cores} cores"
    threads = os.environ.get(tuning.NUM_THREADS, "")
    if threads.isdigit() and int(threads) > min(cores, limit):
        advice = f"unset {tuning.NUM_THREADS}: runs take as many threads as cores are idle"
        yield Finding("cores", BAD, f"{text}, and {tuning.NUM_THREADS} is {threads}", advice)
    else:
        yield Finding("cores", OK, text)


def check_allocator() -> Iterator[Finding]:
    """Has glibc's allocator, or another one, the say over memory."""
    preloaded = [n for n in ("jemalloc", "tcmalloc") if n in os.environ.get("LD_PRELOAD", "")]
    if preloaded:
        yield Finding("allocator", OK, f"{preloaded[0]} (LD_PRELOAD) in the place of glibc's")
    elif platform.libc_ver()[0] != "glibc":
        advice = "CPU runs take a quarter longer: preload jemalloc, or use a glibc system"
        yield Finding("allocator", NOTE, "the C library is not glibc", advice)
    elif os.environ.get("MEDISWIFT_DEFAULT_ALLOCATOR") == "1":
        advice = "unset MEDISWIFT_DEFAULT_ALLOCATOR: CPU runs take a quarter longer with it"
        yield Finding("allocator", NOTE, "glibc's with its own settings", advice)
    else:
        yield Finding("allocator", OK, "glibc's; runs on the CPU set it to keep its memory")


def _probe(code: str) -> tuple[str, str]:
    """What a new process of this Python prints, and the last line of its failure."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=IMPORT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "", f"it takes more than {IMPORT_SECONDS} s"
    if done.returncode == 0:
        return done.stdout.strip().rpartition("\n")[2], ""
    return "", (done.stderr.strip().splitlines() or [f"it ends with {done.returncode}"])[-1]


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_packages,
    check_torch,
    check_cerebras,
    check_modelzoo,
    check_extras,
    check_path,
    check_cluster,
    check_machine,
    check_allocator,
)
