"""The workflow in docs/examples does what it says: every file, and a status that counts."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.params.load import shipped_files

REPOSITORY = Path(__file__).parents[2]
WORKFLOW = REPOSITORY / "docs" / "examples" / "validate.yml"


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["compile"]["steps"]
    return found


def compile_script() -> str:
    (script,) = (step["run"] for step in steps() if step.get("name") == "Compile")
    return str(script)


# Writes what it is called with, and fails for the file that FAILS names.
FAKE_PYTHON = """#!/bin/bash
echo "$@" >> "$CALLS"
[[ "$*" == *"$FAILS"* ]] && exit 1
exit 0
"""


@pytest.mark.parametrize(("fails", "status"), [("nothing_at_all", 0), ("mediswift_med_75", 1)])
def test_every_params_file_is_compiled_and_one_failure_fails(
    fails: str, status: int, tmp_path: Path
) -> None:
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    (tmp_path / "params").symlink_to(REPOSITORY / "params")
    calls = tmp_path / "calls"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", compile_script()],
        cwd=tmp_path,
        env={
            "PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "FAILS": fails,
        },
        check=False,
    )
    assert done.returncode == status
    lines = calls.read_text().splitlines()
    assert len(lines) == len(shipped_files())
    assert all("run.py CSX --params params/" in line for line in lines)
    assert all("--validate_only" in line for line in lines)


def test_python_is_the_version_that_has_wheels() -> None:
    (setup,) = (step["with"] for step in steps() if "setup-python" in step.get("uses", ""))
    assert setup["python-version"] == "3.11"
