"""run.py as a user starts it, on toy data."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = (sys.executable, str(REPOSITORY / "run.py"))


@pytest.fixture
def toy_params(toy_raw: dict[str, Any], tmp_path: Path) -> Path:
    """The toy params as a file."""
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_raw))
    return path


Run = Callable[..., tuple[int, str]]
StartRun = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_run(toy_params: Path, tmp_path: Path) -> StartRun:
    """Start ``run.py ARGUMENTS`` on the toy params in an empty folder; returns the process."""

    def start(*arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*RUN, "--params", str(toy_params), *arguments],
            cwd=tmp_path,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def run(start_run: StartRun) -> Run:
    """Run to the end; returns exit code and output."""

    def finish(*arguments: str) -> tuple[int, str]:
        process = start_run(*arguments)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    return finish
