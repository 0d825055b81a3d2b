"""What is said to need no torch can be imported without."""

import subprocess
import sys
from pathlib import Path

import mediswift_cs

PACKAGE = Path(mediswift_cs.__file__).parent
UNITS = (
    *("storage", "corpora", "tokens", "tasks", "params", "prepare", "checkpoints", "pages"),
    *("report", "sizes", "flops", "machines", "steps", "cli", "commands"),
)
# It computes logits, and is imported by a conversion only where torch is installed.
NEED_TORCH = {"checkpoints.verify"}

# Run in a process of its own, so that it also holds where torch is installed.
IMPORT = """
import importlib, sys
for name in ("torch", "cerebras", "transformers", "peft"):
    sys.modules[name] = None
failed = []
for name in sys.argv[1:]:
    try:
        importlib.import_module("mediswift_cs." + name)
    except ImportError:
        failed.append(name)
print(*failed)
"""


def modules(unit: str) -> list[str]:
    files = (
        (PACKAGE / unit).rglob("*.py") if (PACKAGE / unit).is_dir() else [PACKAGE / f"{unit}.py"]
    )
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files]
    return sorted(name for name in names if not name.endswith(("__init__", "__main__")))


def not_imported(*names: str) -> set[str]:
    command = [sys.executable, "-c", IMPORT, *names]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_units_without_torch() -> None:
    names = [name for unit in UNITS for name in modules(unit)]
    assert len(names) > 100
    # Control: the one module that does need it is told.
    assert not_imported(*names) == NEED_TORCH
