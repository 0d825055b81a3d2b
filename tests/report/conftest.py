"""One run that the tests of pages share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .small_runs import train, write_scores


@pytest.fixture(scope="session")
def toy_run(
    tmp_path_factory: pytest.TempPathFactory, make_toy_raw: Callable[[], dict[str, Any]]
) -> Path:
    """A 75 % sparse run of 12 steps with an evaluation in its folder."""
    run = train(make_toy_raw(), tmp_path_factory.mktemp("report") / "toy")
    write_scores(run / "scores", run / "checkpoint_12.mdl")
    return run
