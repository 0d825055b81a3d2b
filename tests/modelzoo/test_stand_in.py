"""The stand-in for bigcode_eval: found last, and of no use but for being imported."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediswift_cs.modelzoo import stand_in


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    stand_in.install()
    stand_in.install()
    yield
    for name in stand_in.CONTENTS:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("installed")
def test_what_modelzoo_imports_is_there_and_refuses_to_work() -> None:
    assert sys.meta_path.count(stand_in.StandInFinder) == 1
    base = importlib.import_module("bigcode_eval.base")
    evaluator = importlib.import_module("bigcode_eval.evaluator")
    tasks = importlib.import_module("bigcode_eval.tasks")
    utilities = importlib.import_module("bigcode_eval.utils")
    assert (tasks.TASK_REGISTRY, tasks.ALL_TASKS) == ({}, [])
    for use in (base.Task, evaluator.Evaluator, tasks.get_task, utilities.update_code_gens):
        with pytest.raises(ImportError, match="bigcode_eval, which is not installed"):
            use()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("bigcode_eval.other")


@pytest.mark.usefixtures("installed")
def test_the_real_package_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "bigcode_eval"
    package.mkdir()
    (package / "__init__.py").write_text("IS_REAL = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("bigcode_eval").IS_REAL
