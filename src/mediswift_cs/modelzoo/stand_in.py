"""A stand-in for ``bigcode_eval``, which ModelZoo's trainer imports but no registry offers.

ModelZoo needs the package for its BigCode evaluation only; without it, nothing of its trainer can
be imported. Where the real package is installed, it is the one that is found.
"""

import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

PACKAGE = "bigcode_eval"


def _refuse(*_arguments: Any, **_keywords: Any) -> NoReturn:
    raise ImportError(
        "the BigCode evaluation needs the package bigcode_eval, which is not installed: install "
        "the bigcode-evaluation-harness that ModelZoo's requirements name"
    )


class Absent:
    """Stands in for a class of the package."""

    __init__ = _refuse


CONTENTS: dict[str, dict[str, Any]] = {
    PACKAGE: {"__path__": []},
    f"{PACKAGE}.tasks": {"TASK_REGISTRY": {}, "ALL_TASKS": [], "get_task": _refuse},
    f"{PACKAGE}.base": {"Task": Absent},
    f"{PACKAGE}.evaluator": {"Evaluator": Absent},
    f"{PACKAGE}.utils": {"update_code_gens": _refuse},
}


class StandInFinder:
    """Finds the modules of :data:`CONTENTS`; asked last, after every other finder."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The finder protocol of ``sys.meta_path``."""
        if name not in CONTENTS:
            return None
        return importlib.machinery.ModuleSpec(name, StandInFinder, is_package=name == PACKAGE)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: importlib.machinery.ModuleSpec) -> None:
        """The loader protocol: an ordinary module."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """The loader protocol: fill the module."""
        module.__doc__ = __doc__
        vars(module).update(CONTENTS[module.__name__])


def install() -> None:
    """Let ``import bigcode_eval`` work where the real package is absent; again is fine."""
    if StandInFinder not in sys.meta_path:
        sys.meta_path.append(StandInFinder)
