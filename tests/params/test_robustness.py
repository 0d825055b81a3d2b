"""No document, however odd, makes the checks themselves fail."""

import copy
from collections.abc import Iterator
from typing import Any

from .conftest import check

ODD: list[Any] = [
    None, True, -1, 0, 10**30, 1.5, float("inf"), "", "x", "1e-8", [], [None], {}, {"a": {}},
    {1: 2}, {None: None}, [[1, [2]]], {"AdamW": None}, [{"LinearLR": None}], b"bytes",
]  # fmt: skip


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for key, child in children:
        yield from paths(child, (*path, key))


def test_odd_values_are_problems_or_fine_but_never_errors(tiny: dict[str, Any]) -> None:
    num_refused = num_checked = 0
    for path in paths(tiny):
        for value in ODD:
            document = copy.deepcopy(tiny)
            node: Any = document
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = value
            problems = check(document)
            for problem in problems:
                line = problem.line("f.yaml")
                assert "\n" not in line
                assert len(line) < 2000
            num_checked += 1
            num_refused += bool(problems)
    assert num_checked > 1000
    assert 0.5 < num_refused / num_checked < 1


def test_odd_keys_are_problems(tiny: dict[str, Any]) -> None:
    for path in paths(tiny):
        for key in (3, None, True, 2.5, "", "a.b", ("t",)):
            document = copy.deepcopy(tiny)
            node: Any = document
            for part in path:
                node = node[part]
            if isinstance(node, dict):
                node[key] = 1
                assert check(document), (path, key)
