"""The shape of nested state as ``.mdl`` files keep it: torch's serialised ``TreeSpec``.

Only containers of plain data are read and written, so no type is ever looked up by name.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

_PROTOCOL = 1
_MAPPINGS = ("builtins.dict", "collections.OrderedDict")
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "builtins.list": list,
    "builtins.tuple": tuple,
    # cerebras.pytorch registers sets, in iteration order.
    "builtins.set": list,
}
_LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}

Path = tuple[str, ...]


def decode(text: str, leaf: Callable[[str], Any]) -> Any:
    """The nested state of a serialised spec; ``leaf(key)`` gives the value of each dotted key.

    Raises ValueError for anything but dicts, lists, tuples and sets.
    """
    match json.loads(text):
        case [protocol, root] if protocol == _PROTOCOL:
            return _decode_node(root, (), leaf)
        case other:
            raise ValueError(f"tree spec {other!r:.80}, allowed: one of protocol {_PROTOCOL}")


def _decode_node(node: dict[str, Any], path: Path, leaf: Callable[[str], Any]) -> Any:
    kind, children = node["type"], node["children_spec"]
    if kind is None:
        return leaf(".".join(path))
    if kind in _MAPPINGS:
        keys = json.loads(node["context"])
        if len(keys) != len(children):
            raise ValueError(f"{len(keys)} keys for {len(children)} values")
        return {
            key: _decode_node(child, (*path, str(key)), leaf)
            for key, child in zip(keys, children, strict=True)
        }
    if kind in _SEQUENCES:
        items = [
            _decode_node(child, (*path, str(index)), leaf) for index, child in enumerate(children)
        ]
        return _SEQUENCES[kind](items)
    raise ValueError(f"a container of type {kind}, allowed: dict, list, tuple, set")


def encode(state: Any) -> str:
    """The serialised spec of nested dicts, lists and tuples."""
    return json.dumps([_PROTOCOL, _encode_node(state)])


def _encode_node(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        children = [_encode_node(child) for child in value.values()]
        return {
            "type": "builtins.dict",
            "context": json.dumps(list(value)),
            "children_spec": children,
        }
    if isinstance(value, list | tuple):
        return {
            "type": "builtins.list" if isinstance(value, list) else "builtins.tuple",
            "context": "null",
            "children_spec": [_encode_node(child) for child in value],
        }
    return _LEAF


def leaves(state: Any, path: Path = ()) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each leaf, in the order of the spec."""
    if isinstance(state, dict):
        for key, child in state.items():
            yield from leaves(child, (*path, str(key)))
    elif isinstance(state, list | tuple):
        for index, child in enumerate(state):
            yield from leaves(child, (*path, str(index)))
    else:
        yield ".".join(path), state
