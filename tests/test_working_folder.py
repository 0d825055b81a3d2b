"""What tests and commands leave in the working folder is seen; nothing is left there."""

from pathlib import Path
from typing import Any

from .conftest import REPOSITORY, names_in


def test_control_what_is_left_is_seen(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\n*.egg-info/\n/demo/\n")
    before = names_in(tmp_path)
    for name in ("executors", "build", "a.egg-info", "demo"):
        (tmp_path / name).mkdir()
    assert names_in(tmp_path) - before == {"executors"}


def test_the_repository_has_no_results_of_runs() -> None:
    assert not {"executors", "cerebras_logs", "cached_compile"} & names_in(REPOSITORY)


def test_the_backend_of_the_tests_writes_elsewhere(cpu_backend: Any) -> None:
    assert not Path(cpu_backend.artifact_dir).resolve().is_relative_to(REPOSITORY)
