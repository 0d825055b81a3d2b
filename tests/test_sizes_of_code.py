"""Every file fits 300 lines and every function 50, so that each can be read at once."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks")
MOST_LINES_OF_FILE = 300
MOST_LINES_OF_FUNCTION = 50


def too_long(source: str, name: str) -> Iterator[str]:
    """What of a file is longer than allowed."""
    if (num_lines := len(source.splitlines())) > MOST_LINES_OF_FILE:
        yield f"{name}: {num_lines} lines, allowed: {MOST_LINES_OF_FILE}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            num_lines = node.end_lineno - node.lineno + 1
            if num_lines > MOST_LINES_OF_FUNCTION:
                yield (
                    f"{name}:{node.lineno} {node.name}: {num_lines} lines, "
                    f"allowed: {MOST_LINES_OF_FUNCTION}"
                )


def tracked_files() -> list[Path]:
    """The Python files that git knows."""
    command = ["git", "ls-files", "-z", "--", *(f"{folder}/*.py" for folder in FOLDERS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"which files are tracked is not known: {done.stderr.strip()}")
    # One that is deleted and not yet committed has no size.
    return [
        path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).exists()
    ]


def test_files_and_functions_fit() -> None:
    files = tracked_files()
    for folder in FOLDERS:
        assert any(path.is_relative_to(REPOSITORY / folder) for path in files)
    found = [
        line
        for path in files
        for line in too_long(path.read_text(), str(path.relative_to(REPOSITORY)))
    ]
    assert not found, "\n".join(found)


def function(num_lines: int, prefix: str = "") -> str:
    return f"{prefix}def f():\n" + "    a = 1\n" * (num_lines - 1)


def test_control_what_is_too_long_is_seen() -> None:
    fits = function(50) + "a = 1\n" * 250
    assert list(too_long(fits, "a.py")) == []
    assert list(too_long(fits + "a = 1\n", "a.py")) == ["a.py: 301 lines, allowed: 300"]
    seen = ["a.py:1 f: 51 lines, allowed: 50"]
    assert list(too_long(function(51), "a.py")) == seen
    assert list(too_long(function(51, "async "), "a.py")) == seen
    method = "class C:\n" + "".join(f"    {line}\n" for line in function(51).splitlines())
    assert list(too_long(method, "a.py")) == ["a.py:2 f: 51 lines, allowed: 50"]
