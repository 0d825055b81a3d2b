"""JSON of any shape, and how to see that a refusal speaks of the file and not of Python."""

import re
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, 3, 2.5, "text", "", [], [1], ["a"], [["a"]], [None], {}, {"a": 1}, {"a": ["b"]}),
)
PYTHON = re.compile(
    r"indices|NoneType|object is not|not iterable|unhashable|attribute|argument|not supported|"
    r"concatenate|Error|is an example: '|codec|Errno|Traceback|__init__|invalid literal|recursion|"
    r"could not convert|unpack"
)


def replaced(content: Any, place: tuple[str, ...], value: object) -> Any:
    """The content with another value at a place within it."""
    if not place:
        return value
    return {**content, place[0]: replaced(content[place[0]], place[1:], value)}


def without(content: Any, place: tuple[str, ...]) -> Any:
    """The content without the key at a place within it."""
    key, *rest = place
    if rest:
        return {**content, key: without(content[key], tuple(rest))}
    return {name: value for name, value in content.items() if name != key}


def variants(content: Any, place: tuple[str, ...]) -> list[Any]:
    """The content with any value at a place, and at each key there, and without each key."""
    inner = content
    for key in place:
        inner = inner[key]
    found = [replaced(content, place, value) for value in VALUES]
    for key in inner:
        found += [replaced(content, (*place, key), value) for value in VALUES]
        found.append(without(content, (*place, key)))
    return found
