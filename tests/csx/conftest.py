"""The toy params as a file, and commands on it that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.run import main


@pytest.fixture
def params(toy_raw: dict[str, Any], tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(toy_raw))
    return file


@pytest.fixture
def refused(
    params: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """What run.py says to arguments that it refuses, with nothing written beside the params."""
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, file: str | None = None) -> str:
        assert main([*arguments, "--params", file or str(params)]) == 2
        assert list(tmp_path.iterdir()) == [params]
        return capsys.readouterr().err

    return said
