"""Whether a document holds plain data: what JSON, a checkpoint and a file name can hold too.

YAML has more, such as dates and sets; what is found here would otherwise fail hours later, where
the params are written into a checkpoint or handed to another process.
"""

from collections.abc import Iterator
from typing import Any

from mediswift_cs.params.problem import Path

# Far beyond any count; larger ones cannot even be printed.
MAX_INT_BITS = 64

PLAIN = "text in quotes, a number, true, false, null, a list or a mapping"
TEXT = "text of Unicode characters without NUL and without halves of surrogate pairs"


def find_odd_values(document: Any) -> Iterator[tuple[Path, Any, str]]:
    """Path and value of what is not plain, and what is allowed there."""
    yield from _find(document, (), set())


def values_by_key(section: Any, prefix: str = "") -> dict[str, Any]:
    """The values in mappings and lists by dotted key; an empty mapping or list is a value."""
    children: Any = dict(enumerate(section)) if isinstance(section, list) else section
    if not isinstance(children, dict) or not children:
        return {prefix: section}
    found: dict[str, Any] = {}
    for key, value in children.items():
        found |= values_by_key(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _find(node: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any, str]]:
    if isinstance(node, dict | list):
        if id(node) in seen:  # an anchor that is used twice is one mapping
            return
        seen.add(id(node))
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            is_odd = isinstance(node, dict) and not (isinstance(key, str) and _is_text(key))
            if is_odd:
                yield (*path, key), value, "a key that is text"
            else:
                yield from _find(value, (*path, key), seen)
    elif isinstance(node, str):
        if not _is_text(node):
            yield path, node, TEXT
    elif isinstance(node, int):
        if node.bit_length() > MAX_INT_BITS:
            yield path, node, f"a whole number of at most {MAX_INT_BITS} bits"
    elif node is not None and not isinstance(node, float):
        yield path, node, PLAIN


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
