"""A lazy import hook: ModelZoo's tables get our entries at the moment they are imported.

The hook runs at the start of every Python process of an environment where it is enabled, so this
file imports nothing, not even typing, before it has something to do.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# ModelZoo's tables and the function of mediswift_cs.modelzoo.registration that extends each one.
TABLES = {
    "cerebras.modelzoo.registry.registry": "extend_models",
    "cerebras.modelzoo.tools.checkpoint_converters.registry": "extend_converters",
}


def extend(module: ModuleType) -> None:
    """Add our entries to a table's module, which has just been imported; again is fine."""
    from mediswift_cs.modelzoo import registration, stand_in

    stand_in.install()
    getattr(registration, TABLES[module.__name__])(module)


def _extend_after(loader: Any) -> None:
    """Let a loader that runs one module extend its table, once."""

    def exec_module(module: ModuleType) -> None:
        # The module shall look as if nobody had been in between.
        del loader.exec_module
        loader.exec_module(module)
        extend(module)

    loader.exec_module = exec_module


class TableFinder:
    """Finds the modules of :data:`TABLES` as the other finders do, and extends what they load."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The finder protocol of ``sys.meta_path``."""
        if name not in TABLES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is TableFinder else finder.find_spec(name, path, target)
            if spec is not None:
                _extend_after(spec.loader)
                return spec
        return None


def install() -> None:
    """Extend the tables that are imported already, and the others as they come; again is fine."""
    if TableFinder not in sys.meta_path:
        sys.meta_path.insert(0, TableFinder)
    for name in TABLES:
        if name in sys.modules:
            extend(sys.modules[name])
