"""JSON that a user may have written: read, and taken for nothing that it is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediswift_cs.errors import DataError


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The value of each line of a UTF-8 file, with words that say where it is.

    Raises:
        DataError: the file cannot be read, or a line is no JSON.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield (where := f"{path}, line {number}"), _parse(line, where)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _parse(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file whose content is one object; DataError otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a readable JSON file: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold one JSON object, got {content!r:.80}")
    return content


def check_keys(content: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """A JSON object that has all of ``keys``; DataError for anything else."""
    if not isinstance(content, dict):
        raise DataError(f"{where} is {content!r:.80}, allowed: an object with {', '.join(keys)}")
    for key in keys:
        if key not in content:
            raise DataError(f"{where} lacks {key!r}")
    return content


def check_strings(value: Any, what: str) -> tuple[str, ...]:
    """A list of strings; DataError for anything else, which ``str`` would make a text of."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"{what}: got {value!r:.80}, allowed: a list of strings")
    return tuple(value)
