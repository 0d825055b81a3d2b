"""What doctor says of environments that are wrong in one thing each."""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs import doctor, packages, tuning
from mediswift_cs.cli import main
from mediswift_cs.doctor import BAD, NOTE, OK, Finding

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
# An environment as it should be, which each test changes.
INSTALLED = {"numpy": "1.25.0", "h5py": "3.13.0", "torch": "2.4.0", "cerebras-pytorch": "2.10.0"}
ASKED = [
    "numpy>=1.25",
    "h5py<4,>=3.13",
    "torch>=2.4",
    'cerebras-pytorch==2.10.0; python_version < "4"',
    'torch==2.4.0; python_version < "4"',
    'distributed>=2025.3; extra == "dask"',
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Distributions and versions; whatever else doctor looks at is as it should be."""
    versions = dict(INSTALLED)

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    metadata: Any = {"Requires-Python": ">=3.11,<4"}
    packages.requirements.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ASKED)
    monkeypatch.setattr("importlib.metadata.metadata", lambda _: metadata)
    monkeypatch.setattr(packages, "extras", lambda: ["dask"])
    monkeypatch.setattr(doctor, "_probe", lambda _: ('{"gpus": ["H100"], "cuda": "13"}', ""))
    monkeypatch.setattr("mediswift_cs.modelzoo.registration.is_found", lambda: False)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "bin"))
    make_command(tmp_path / "bin" / "mediswift")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CSCONFIG_PATH", "LD_PRELOAD", "OMP_NUM_THREADS", "MEDISWIFT_DEFAULT_ALLOCATOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tuning, "memory_limit", lambda: 16.0 * doctor.GIB)
    usage = type("Usage", (), {"free": 100 * doctor.GIB})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    return versions


@pytest.fixture(autouse=True)
def forget_requirements() -> Any:
    yield
    packages.requirements.cache_clear()


def make_command(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def found(what: str) -> Finding:
    (finding,) = [finding for finding in doctor.examine() if finding.what == what]
    return finding


@pytest.mark.usefixtures("installed")
def test_control_an_environment_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert [finding for finding in doctor.examine() if finding.state == BAD] == []
    assert main(["doctor"]) == 0
    assert "ok    packages: 4 as asked for" in capsys.readouterr().out


def test_a_missing_package_and_a_wrong_version(
    installed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    del installed["h5py"]
    installed["torch"] = "2.5.0"
    advice = "pip install 'h5py<4,>=3.13'"
    assert found("h5py") == Finding("h5py", BAD, "not installed, allowed: <4,>=3.13", advice)
    assert [f.state for f in doctor.check_packages()] == [BAD, BAD]
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "BAD   torch: 2.5.0, allowed: ==2.4.0,>=2.4\n      -> pip install 'torch" in out


def test_without_cerebras_pytorch_its_bounds_do_not_hold(installed: dict[str, str]) -> None:
    del installed["cerebras-pytorch"]
    installed["torch"] = "2.13.0"
    assert found("packages").state == OK
    assert found("cerebras-pytorch").state == NOTE
    assert "cerebras-pytorch==2.10.0" in found("cerebras-pytorch").advice or sys.version_info > (
        *(3, 12),
    )


def test_without_torch_what_belongs_to_it_is_not_missed(installed: dict[str, str]) -> None:
    del installed["torch"], installed["cerebras-pytorch"]
    assert found("packages").text == "2 as asked for"
    assert found("torch").state == NOTE


def test_the_packages_that_belong_to_torch_are_those_of_its_file() -> None:
    from packaging.requirements import Requirement

    lines = (REQUIREMENTS / "torch.txt").read_text().splitlines()
    names = [Requirement(line).name for line in lines if line and not line.startswith("#")]
    assert sorted(names) == sorted(doctor.TORCH_PACKAGES)


def wrong_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.10.1")


def broken_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda _: ("", "ImportError: libcudart"))


def gpu_without_driver_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_probe", lambda _: ('{"gpus": [], "cuda": null}', ""))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def another_environment_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def no_cluster_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSCONFIG_PATH", "/nowhere/config_v2")


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)


def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "memory_limit", lambda: 1e9)


def too_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "cgroup_limit", lambda: 1.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")


def incomplete_modelzoo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediswift_cs.modelzoo.registration.is_found", lambda: True)
    monkeypatch.setattr("mediswift_cs.modelzoo.registration.missing_packages", lambda: ["lm_eval"])


@pytest.mark.parametrize(
    ("spoil", "what", "text", "advice"),
    [
        (wrong_python, "Python", "3.10.1", "a Python that is"),
        (broken_torch, "torch", "cannot be imported: ImportError: libcudart", "pip install"),
        (broken_torch, "cerebras-pytorch", "cannot be imported", "pip install"),
        (gpu_without_driver_for_it, "GPU", "built for the CPU alone", "nvidia-smi"),
        (another_environment_on_path, "mediswift", "is another environment's: /usr/bin", "source "),
        (no_cluster_file, "cluster", "/nowhere/config_v2, which does not exist", "CSCONFIG_PATH"),
        (full_disk, "disk", "0.0 GiB free", "make room"),
        (little_memory, "memory", "0.9 GiB", "2 GiB or more"),
        (too_many_threads, "cores", "OMP_NUM_THREADS is 64", "unset OMP_NUM_THREADS"),
        (incomplete_modelzoo, "ModelZoo", "without lm_eval", "pip install"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_is_wrong_is_told_with_what_to_do(
    spoil: Callable[[pytest.MonkeyPatch], None],
    what: str,
    text: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [f.state for f in doctor.examine() if f.what == what] != [BAD], "control"
    spoil(monkeypatch)
    finding = found(what)
    assert finding.state == BAD
    assert text in finding.text
    assert advice in finding.advice


def test_an_extra_of_another_version(installed: dict[str, str]) -> None:
    assert found("extra [dask]").state == NOTE
    installed["distributed"] = "2025.4"
    assert found("extra [dask]").state == OK
    installed["distributed"] = "2020.1"
    assert found("extra [dask]").state == BAD


@pytest.mark.usefixtures("installed")
def test_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch)
    assert main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["versions"]["torch"] == "2.4.0"
    (disk,) = [each for each in answer["findings"] if each["what"] == "disk"]
    assert disk["state"] == "BAD"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("package", ["packaging", "pydantic"])
def test_doctor_itself_needs_no_package(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is missing, the others are looked at all the same."""
    for name in [name for name in sys.modules if name.startswith((package, "mediswift_cs.params"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mediswift_cs.training.device", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    findings = doctor.examine()
    assert any(f.state == BAD and package in f.text for f in findings)
    assert any(f.what == "memory" for f in findings)


@pytest.mark.usefixtures("installed")
def test_a_broken_package_ends_one_check_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_cluster() -> Iterator[Finding]:
        raise SystemError("pydantic-core is too old\nfor this pydantic")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (check_cluster, doctor.check_machine))
    assert found("cluster").text == "cannot be told: SystemError: pydantic-core is too old"
    assert found("cluster").state == BAD
    assert found("memory").state == OK


def test_where_it_is_only_imported_no_package_is_judged(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.clear()
    monkeypatch.setattr("importlib.metadata.requires", lambda _: None)
    assert found("packages").state == NOTE
    assert "not looked at" in found("packages").text


@pytest.mark.usefixtures("installed")
def test_a_link_to_the_command_is_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "links" / "mediswift"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "bin" / "mediswift")
    monkeypatch.setenv("PATH", str(link.parent))
    assert found("mediswift") == Finding("mediswift", OK, str(link))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("version", "is_pinned"), [("3.11.7", True), ("3.13.5", False)])
def test_tested_versions_are_advised_for_their_own_python(
    version: str, is_pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_torch(monkeypatch)
    monkeypatch.setattr("platform.python_version", lambda: version)
    for what in ("torch", "extra [dask]"):
        assert found(what).advice.startswith("pip install ")
        assert ("-c constraints.txt" in found(what).advice) == is_pinned


@pytest.mark.usefixtures("installed")
def test_version_names_what_a_report_of_a_fault_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("mediswift_cs ")
    for part in ("Python 3.", "torch 2.4.0", "cerebras-pytorch 2.10.0", "ModelZoo "):
        assert part in out
