"""A lazy import hook: ModelZoo registers us at the moment it is itself imported.

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

REGISTRY_MODULE = "cerebras.modelzoo.registry.registry"


class _RegisteringLoader:
    """Runs the module's own loader, then adds our models to the registry it made."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module shall look as if nobody had been in between.
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        from mediswift_cs.modelzoo import registration, stand_in

        stand_in.install()
        registration.add_entries(module.registry)


class RegistryFinder:
    """Finds ModelZoo's registry as the other finders do, and wraps its loader."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The finder protocol of ``sys.meta_path``."""
        if name != REGISTRY_MODULE:
            return None
        for finder in sys.meta_path:
            spec = None if finder is RegistryFinder else finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _RegisteringLoader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


def install() -> None:
    """Register with ModelZoo as soon as it is imported, or now if it has been; again is fine."""
    if REGISTRY_MODULE in sys.modules:
        from mediswift_cs.modelzoo import registration, stand_in

        stand_in.install()
        registration.register_models()
    elif RegistryFinder not in sys.meta_path:
        sys.meta_path.insert(0, RegistryFinder)
