"""Text and JSON that may be anybody's: read, and taken for nothing that it is not.

What is wrong is said in one sentence, by a DataError or the class that a caller gives.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from mediswift_cs.errors import DataError

T = TypeVar("T")
# Makes the error of a sentence: a class of ours, or what adds to the sentence.
Error = Callable[[str], Exception]

NO_OTHER_KEYS = {"extra": "forbid"}
_KEYS = {"missing": "missing", "unexpected_keyword_argument": "unknown"}


def read_text(path: Path, error: Error = DataError, *, encoding: str = "utf-8") -> str:
    """The text of a file; ``error`` where it cannot be read, or is written otherwise."""
    try:
        return path.read_text(encoding=encoding)
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"cannot read {path}: {reason_of(problem)}") from problem


def reason_of(problem: OSError | UnicodeDecodeError) -> str:
    """Why a text cannot be read, without Python's own words."""
    if isinstance(problem, UnicodeDecodeError):
        return f"not {problem.encoding.upper()} text"
    # What the libraries of formats say is about the file, but its beginning about the system.
    text = os.strerror(problem.errno) if problem.errno else str(problem)
    return " ".join(text.split()) or type(problem).__name__


def parse_json(
    text: str | bytes, where: str, error: Error = DataError, *, line: int = 1, **hooks: Any
) -> Any:
    """The value that a JSON text in UTF-8 stands for; ``error`` where it is none.

    Args:
        where: what holds the text.
        line: the number of the text's first line there.
        hooks: further arguments of ``json.loads``.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        # What is missing at the end of a line is missing there, and not on the next one.
        return json.loads(text.rstrip(" \t\r\n"), **hooks)
    except json.JSONDecodeError as problem:
        place = f"line {line + problem.lineno - 1}, column {problem.colno}"
        # In parentheses stands what a programmer may do about it.
        raise error(f"{where} is not JSON, {place}: {problem.msg.partition(' (')[0]}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{where} is not JSON, line {line}: {reason_of(problem)}") from problem
    except RecursionError as problem:
        raise error(f"{where} is not JSON, line {line}: it is nested too deeply") from problem
    except ValueError as problem:
        # All that Python has left it for.
        raise error(f"{where} is not JSON, line {line}: a number has too many digits") from problem


def read_json_object(path: Path, error: Error = DataError) -> dict[str, Any]:
    """A JSON file whose content is one object; ``error`` otherwise."""
    content = parse_json(read_text(path, error), str(path), error)
    if not isinstance(content, dict):
        raise error(f"{path}: got {content!r:.80}, allowed: a JSON object")
    return content


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The value of each line of a UTF-8 file, with words that say where it is.

    Raises:
        DataError: the file cannot be read, or a line is no JSON.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield f"{path}, line {number}", parse_json(line, str(path), line=number)
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"cannot read {path}: {reason_of(problem)}") from problem


def check_keys(content: Any, keys: Iterable[str], where: str) -> dict[str, Any]:
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


def whole_number(content: Mapping[str, Any], key: str, where: str, error: Error) -> int | None:
    """A number of steps, samples or the like; None without one, ``error`` for anything else."""
    number = content.get(key)
    if number is None or (type(number) is int and number >= 0):
        return number
    raise error(f"{key} in {where}: got {number!r:.80}, allowed: a whole number, 0 or more")


def object_or_empty(value: Any) -> dict[str, Any]:
    """A JSON object, or {} in place of anything else: for what is told where it is known."""
    return value if isinstance(value, dict) else {}


def check_type(kind: type[T], content: Any, where: str, error: Error = DataError) -> T:
    """``content`` as a value of ``kind``, a class of pydantic's or a dataclass with its fields.

    Keys that ``kind`` does not have are left out, unless its ``__pydantic_config__`` is
    :data:`NO_OTHER_KEYS`; ``error`` says the first that is not right.
    """
    # Here, as most of those who read files have nothing to check in this way.
    from pydantic import ValidationError

    try:
        checked: T = _checker(kind).validate_python(content)  # type: ignore[arg-type]
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] in _KEYS:
            raise error(f"{where}: key {key!r} is {_KEYS[first['type']]}") from problem
        # The words after these name classes of ours, or how Python fails.
        allowed = first["msg"].removeprefix("Input should be ").partition(" or an instance")[0]
        raise error(
            f"{where}: {key and key + ': '}got {first['input']!r:.80}, allowed: "
            f"{allowed.partition(',')[0].replace('dictionary', 'object').replace('tuple', 'list')}"
        ) from problem
    return checked


@cache
def _checker(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
