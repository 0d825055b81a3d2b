"""Types, ranges and unknown keys: what pydantic finds in a params file, in our words.

A file with mistakes is mended in a copy (wrong keys taken out, missing ones filled in), so that
what holds between keys can still be checked and every problem is listed at once.
"""

import copy
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

from pydantic import ValidationError

from mediswift_cs.params.plain import find_odd_values
from mediswift_cs.params.problem import (
    WIDEST,
    Path,
    Problem,
    describe,
    dotted,
    find_key,
    keys_of,
    nearest,
    section_at,
    spell,
)
from mediswift_cs.params.schema import Params

# In the place of a required key that is missing, while the other keys are checked.
STAND_INS: dict[str, Any] = {
    "batch_size": 1,
    "data_dir": ".",
    "data_processor": "MediSwiftPretrainingDataProcessor",
    "end_learning_rate": 0.0,
    "initial_learning_rate": 0.0,
    "learning_rate": 0.0,
    "log_steps": 1,
    "name": "mediswift",
    "sparsity": 0.0,
    "total_iters": 1,
}


class Shape(NamedTuple):
    """A file that was read against the schema."""

    params: Params | None
    """The file, or its mended copy; None where it cannot be mended."""
    problems: list[Problem]
    wrong: set[Path]
    """The paths that were mended: their values say nothing."""


def check_shape(raw: Any) -> Shape:
    """Read a parsed YAML document against the schema; `raw` is left as it is."""
    document = copy.deepcopy(raw)
    problems: list[Problem] = []
    wrong: set[Path] = set()
    for path, value, allowed in list(find_odd_values(document)):
        problems.append(Problem(path=dotted(path), got=spell(value), allowed=allowed))
        wrong |= {path, _meant(path)}
        if not _mend(document, path, "wrong"):
            return Shape(None, problems, wrong)
    seen: set[tuple[int, str]] = set()
    # Each round mends at least one path, and a path is at most this deep.
    for _ in range(20):
        try:
            return Shape(Params.model_validate(document), problems, wrong)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        found: dict[Path, str] = {}
        limits: dict[Path, str] = {}
        for entry in errors:
            path = _path_in(document, entry["loc"], is_missing=entry["type"] == "missing")
            found.setdefault(path, entry["type"])
            for limit in entry.get("ctx", {}).values():
                if isinstance(limit, int | float) and limit in WIDEST:
                    limits[path] = f" and {WIDEST[limit]}"
        new: set[Path] = set()
        for path, kind in found.items():
            if not path:
                allowed, got = "a mapping with the key trainer", spell(document)
                root = Problem(path=dotted(path), got=got, allowed=allowed)
                return Shape(None, [*problems, root], wrong)
            # An anchor used twice is one mapping, and its mistakes are one mistake.
            owner = (id(_node(document, path[:-1])), str(path[-1]))
            if owner not in seen and not _follows_from(path, wrong):
                problems.append(_problem(document, path, kind, limits.get(path, "")))
            seen.add(owner)
            new.update({path, _meant(path)})
        wrong |= new
        mended = [_mend(document, path, kind) for path, kind in found.items()]
        if not all(mended):
            break
    return Shape(None, problems, wrong)


def _meant(path: Path) -> Path:
    """The key that a misspelt one stands for: its value is not known either."""
    section = section_at(Params, path[:-1])
    guess = nearest(str(path[-1]), sorted(keys_of(section))) if section is not None else None
    return (*path[:-1], guess or path[-1])


def _path_in(document: Any, loc: Path, *, is_missing: bool) -> Path:
    """The path in the document of pydantic's location, which also names alternatives of unions."""
    path: list[str | int] = []
    node = document
    for index, part in enumerate(loc):
        if isinstance(node, dict):
            key = key_in(node, part)
            if key is not None:
                path.append(key)
                node = node[key]
            elif is_missing and index == len(loc) - 1:
                path.append(part)
        elif isinstance(node, list) and isinstance(part, int):
            path.append(part)
            node = node[part] if part < len(node) else None
    return tuple(path)


def key_in(node: dict[Any, Any], part: str | int) -> Any:
    """The key of a mapping that stands for a key of the schema, or None."""
    if part in node:
        return part
    # Class names may be written in any case, and lr stands for learning_rate.
    spellings = {str(key).lower(): key for key in node}
    if part == "learning_rate" and "lr" in node:
        return "lr"
    return spellings.get(str(part).lower())


def _node(document: Any, path: Path) -> Any:
    return reduce(getitem, path, document)


def _follows_from(path: Path, wrong: set[Path]) -> bool:
    """Whether an earlier round mended something at, above or below `path`."""
    return any(path[: len(other)] == other[: len(path)] for other in wrong)


def _problem(document: Any, path: Path, kind: str, limit: str) -> Problem:
    if kind == "one_name":
        return _name_problem(document, path)
    key_path = path
    while isinstance(key_path[-1], int):
        key_path = key_path[:-1]
    parent = section_at(Params, key_path[:-1])
    value = None if kind == "missing" else _node(document, path)
    name = find_key(parent, str(key_path[-1])) if parent is not None else None
    if kind == "extra_forbidden" and parent is not None:
        return unknown_key(path, value, parent)
    allowed = "another value"
    if parent is not None and name:
        field = keys_of(parent)[name]
        allowed = describe(field.annotation, field.metadata)
    if isinstance(path[-1], int):
        allowed = allowed.removeprefix("a list, each entry ")
    allowed += limit
    got = "nothing" if kind == "missing" else spell(value)
    # ModelZoo may know more values than the one that is covered.
    is_narrow = kind == "literal_error" and " or " not in allowed
    hint = "MediSwift covers no other value" if is_narrow else ""
    return Problem(path=dotted(path), got=got, allowed=allowed, hint=hint)


def unknown_key(path: Path, value: Any, section: type[Any]) -> Problem:
    """A key that the section does not have, or does not cover."""
    key = str(path[-1])
    if key in section.not_covered:
        neutral = " or ".join(spell(v) for v in section.not_covered[key])
        hint = f"{key} is a key of ModelZoo that MediSwift does not cover"
        if reason := section.reasons.get(key):
            hint += f": {reason}"
        return Problem(path=dotted(path), got=spell(value), allowed=neutral, hint=hint)
    known = sorted(keys_of(section))
    return _unknown(path, "an unknown key", nearest(key, known), known, "keys")


def _name_problem(document: Any, path: Path) -> Problem:
    """A mapping that should name one class, and names none, two or an unknown one."""
    section = section_at(Params, path)
    assert section is not None
    names = list(keys_of(section))
    got = ", ".join(map(str, _node(document, path))) or "{}"
    return _unknown(path, got, nearest(got, names), names, "names")


def _unknown(path: Path, got: str, guess: str | None, known: list[str], noun: str) -> Problem:
    allowed = guess or ", ".join(known) or "no key at all"
    hint = f"the nearest of the {len(known)} known {noun}" if guess and len(known) > 1 else ""
    return Problem(path=dotted(path), got=got, allowed=allowed, hint=hint)


def _mend(document: Any, path: Path, kind: str) -> bool:
    """Take a wrong key out, or fill a missing one in; False where nothing would be left."""
    if not path:
        return False
    try:
        parent = _node(document, path[:-1])
    except (KeyError, IndexError, TypeError):
        return True  # gone with a key above it
    key = path[-1]
    if kind == "missing" and key in STAND_INS:
        parent[key] = STAND_INS[str(key)]
    elif kind == "missing" or isinstance(parent, list):
        # A list keeps its numbering, and a section without a required key is of no use.
        return _mend(document, path[:-1], "wrong")
    elif isinstance(parent, dict):
        parent.pop(key, None)
    return True
