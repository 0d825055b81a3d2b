"""The modules of docs_hooks/, which mkdocs finds by their folder."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).parents[2]


def hook(name: str) -> ModuleType:
    """A module of docs_hooks/; those here import no mkdocs."""
    folder = str(REPOSITORY / "docs_hooks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
