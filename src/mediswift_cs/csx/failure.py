"""From what a failed trace raised to the operation and the user's line that did it."""

import json
import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

# Frames of the machinery, which is never what the user has to change.
MACHINERY = (
    "torch/",
    "cerebras/",
    "mediswift_cs/csx/trace.py",
    "mediswift_cs/training/hosts/",
)
FUNCTION_MODE = "cerebras/pytorch/core/function_mode.py"

OPERATION = re.compile(
    r"(?:'|`|^)((?:torch\.aten|torch|cirh|aten)(?:::|\.)[A-Za-z_][A-Za-z0-9_.]*)"
)
SCOPE = re.compile(r'"([^"\\]*)\.(fwd|bwd)/aten::(\w+)\\?"')
CALL_SITE = re.compile(r'"([^"]*)"\("([^"]*)":(\d+):\d+\)')
# What the backend and torch append for their own developers.
APPENDIX = re.compile(
    r"\s*(Called with|Check graph dump|Stack Trace|You may have run into this).*", re.DOTALL
)

HINTS = {
    "aten::_local_scalar_dense": (
        "a value of the graph is read in Python (.item(), if, int(), float()), but it exists on "
        "the CS-2 only: choose with torch.where instead"
    ),
    "aten::nonzero": (
        "the shape of the result depends on the data (boolean indexing, nonzero): choose with "
        "torch.where instead, which keeps the shape"
    ),
}


class Line(NamedTuple):
    """A line of Python, innermost last in a list of them."""

    file: str
    number: int

    @property
    def is_machinery(self) -> bool:
        """Whether it belongs to torch, cerebras-pytorch or the code around the model."""
        return relative(self.file).startswith(MACHINERY)

    @property
    def text(self) -> str:
        """The code, empty where it cannot be found."""
        return linecache.getline(absolute(self.file), self.number).strip()


def describe_failure(error: BaseException, artifact_dir: Path) -> dict[str, Any]:
    """The error's message, operation, location and hint, as plain data.

    ``needs_locations`` says that the compiler's own message could not be traced to a line because
    the graph holds no source locations.
    """
    message = APPENDIX.sub("", str(error)).strip() or type(error).__name__
    frames = list(_frames(error))
    lines = [Line(frame.f_code.co_filename, number) for frame, number in frames]
    operation = _operation_in(message) or _function_called(frames)
    diagnostic = _native_diagnostic(artifact_dir)
    if diagnostic:
        lines = _native_lines(diagnostic, artifact_dir) or lines
        operation = _operation_in(diagnostic["message"]) or operation
    own = [line for line in lines if not line.is_machinery]
    line = own[-1] if own else (lines[-1] if lines else None)
    return {
        "message": message,
        "operation": operation,
        "location": f"{absolute(line.file)}:{line.number}" if line else None,
        "source": line.text if line else None,
        "hint": HINTS.get(operation or ""),
        "needs_locations": bool(diagnostic) and not _native_lines(diagnostic, artifact_dir),
    }


def relative(file: str) -> str:
    """``file`` below the folder of Python's path that it was imported from."""
    for root in sorted(filter(None, sys.path), key=len, reverse=True):
        if file.startswith(root + "/"):
            return file[len(root) + 1 :]
    return file


def absolute(file: str) -> str:
    """The inverse of :func:`relative`: the compiler knows files by their short names."""
    for root in filter(None, sys.path):
        candidate = Path(root) / file
        if candidate.is_file():
            return str(candidate)
    return file


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    entry = error.__traceback__
    while entry is not None:
        yield entry.tb_frame, entry.tb_lineno
        entry = entry.tb_next


def _operation_in(message: str) -> str | None:
    found = OPERATION.search(message)
    return found.group(1) if found else None


def _function_called(frames: list[tuple[FrameType, int]]) -> str | None:
    """The torch function that was called when the error came, from the backend's own frame."""
    for frame, _ in reversed(frames):
        function = frame.f_locals.get("func")
        if relative(frame.f_code.co_filename) == FUNCTION_MODE and function is not None:
            return f"torch.{getattr(function, '__name__', function)}"
    return None


def _native_diagnostic(artifact_dir: Path) -> dict[str, Any]:
    """What torch-cirh-opt said of the first operation that does not lower; empty if nothing."""
    found = sorted(artifact_dir.glob("executors/*/traceback_*.json"))
    diagnostic: dict[str, Any] = json.loads(found[0].read_text()) if found else {}
    return diagnostic


def _native_lines(diagnostic: dict[str, Any], artifact_dir: Path) -> list[Line]:
    """The Python lines that made the operation, of the forward pass where autograd made it."""
    lines = [
        Line(frame["filename"], frame["line"])
        for frame in diagnostic.get("traceback", [])
        if frame["filename"].endswith(".py")
    ]
    notes = diagnostic.get("compileMetadata", {}).get("notes", [])
    scope = SCOPE.search(" ".join(note["message"] for note in notes))
    if scope and scope.group(2) == "bwd":
        lines = _forward_lines(artifact_dir, scope.group(1), scope.group(3)) or lines
    return lines


def _forward_lines(artifact_dir: Path, module: str, operation: str) -> list[Line]:
    """Where the module called the operation whose backward pass this is."""
    base = re.sub(r"_backward.*$", "", operation)
    wanted = f'"{module}.fwd/aten::{base}'
    for file in sorted(artifact_dir.glob("executors/*/torch.mlir")):
        with file.open(encoding="utf-8") as text:
            for row in text:
                if wanted in row:
                    # A location lists the innermost call first.
                    location = row[row.index(wanted) :]
                    sites = [Line(f, int(n)) for _, f, n in CALL_SITE.findall(location)]
                    return list(reversed(sites))
    return []
