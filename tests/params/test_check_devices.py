"""Rules of one device, and which device they look at."""

from pathlib import Path

import pytest
import yaml

from mediswift_cs.run import main

from .conftest import check
from .mistakes import INIT, Raw, drop, put, the_problem


def test_rules_of_csx(xl: Raw) -> None:
    assert the_problem(drop(xl, f"{INIT}.precision")).path == f"{INIT}.precision"
    for factor in (1.0, 256):
        problem = the_problem(put(xl, f"{INIT}.precision.loss_scaling_factor", factor))
        assert problem.path == f"{INIT}.precision.loss_scaling_factor"
    problems = check(put(xl, f"{INIT}.backend.cluster_config", {"num_csx": 3}))
    assert {problem.allowed[:23] for problem in problems} == {"a multiple of num_csx 3"}
    assert check(put(xl, f"{INIT}.backend.cluster_config", {"num_csx": 4})) == []


def test_jobs_of_a_cluster(xl: Raw, tiny: Raw) -> None:
    path = f"{INIT}.backend.cluster_config"
    assert check(put(xl, path, {"job_priority": "p1", "job_labels": ["a=b", "m.x=1_2"]})) == []
    problem = the_problem(put(xl, path, {"job_priority": "p4"}))
    assert (problem.path, problem.got) == (f"{path}.job_priority", "p4")
    for label in ("c", "a=b=c", "=b", "a=-", "a=" + "b" * 64, "a=b\n"):
        problem = the_problem(put(xl, path, {"job_labels": ["a=b", label]}))
        assert problem.path == f"{path}.job_labels.1"
    assert check(put(tiny, path, {"job_labels": ["c"]})) == []  # nobody reads it on a CPU


def test_rules_look_at_the_device_that_runs(
    tiny: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's own backend counts only where the command names no device."""
    monkeypatch.chdir(tmp_path)
    raw = put(tiny, f"{INIT}.backend.cluster_config", {"num_csx": 3})
    file = tmp_path / "mine.yaml"
    for backend, arguments, num_refused in (
        ("CPU", ["CSX"], 2),
        ("CPU", ["CSX", "--validate_only"], 2),
        ("CPU", ["--validate_only"], 2),
        ("CSX", [], 2),
        ("CSX", ["CPU"], 0),
        ("CPU", [], 0),
        ("CPU", ["CPU"], 0),
    ):
        file.write_text(yaml.safe_dump(put(raw, f"{INIT}.backend.backend_type", backend)))
        assert main([*arguments, "--params", str(file)]) == 2
        printed = capsys.readouterr().err
        # Without their rule, the runs end at the data, which is not there.
        assert printed.count("allowed: a multiple of num_csx 3") == num_refused, printed
        assert num_refused or "data_dir: got" in printed
