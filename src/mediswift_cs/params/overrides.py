"""Values from the command line: ``trainer.init.loop.max_steps=20``."""

from collections.abc import Sequence
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.document import parse_yaml
from mediswift_cs.params.problem import Path, Problem, dotted, find_key, keys_of, section_at
from mediswift_cs.params.schema import Params
from mediswift_cs.params.shape import key_in, unknown_key

SOURCE = "--set"


def parse_overrides(texts: Sequence[str]) -> list[tuple[Path, Any]]:
    """Path and value of ``PATH=VALUE`` texts; values are YAML: ``null``, ``0.5``, ``[1, 2]``.

    Raises:
        ConfigError: with one line for each text that is not an override or names no key.
    """
    overrides: list[tuple[Path, Any]] = []
    problems: list[Problem] = []
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"{SOURCE}: got {text!r}, allowed: KEY=VALUE with a dotted KEY")
        path, problem = _resolve(name)
        if problem is not None:
            problems.append(problem)
        else:
            overrides.append((path, parse_yaml(value, f"{SOURCE} {text}")))
    if problems:
        raise ConfigError("\n".join(problem.line(SOURCE) for problem in problems))
    return overrides


def apply_override(document: Any, path: Path, value: Any) -> None:
    """Set one value; mappings on the way that are absent or null are made.

    Raises:
        ConfigError: the path goes through a value, or beyond the end of a list.
    """
    node = document
    for index, part in enumerate(path):
        is_index = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if not is_index and not (isinstance(node, dict) and isinstance(part, str)):
            got, wanted = "no list and no mapping", "a key"
            if isinstance(node, list):
                got, wanted = f"a list of {len(node)}", f"an index below {len(node)}"
            raise ConfigError(
                f"{dotted(path)}: got {part} inside {dotted(path[:index])}, which is {got}, "
                f"allowed: {wanted} ({SOURCE})"
            )
        if isinstance(node, dict):
            # The file may spell it otherwise, and has it once.
            part = part if (found := key_in(node, part)) is None else found
        if index == len(path) - 1:
            node[part] = value
        elif isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node = node[part]


def _resolve(name: str) -> tuple[Path, Problem | None]:
    """The path that a dotted name stands for, and the first part that the schema does not have."""
    parts = name.split(".")
    path: Path = tuple(int(part) if part.isdecimal() else part for part in parts)
    for index, part in enumerate(path):
        section = section_at(Params, path[:index])
        if section is not None and section.model_config.get("extra") == "allow":
            # The names of compiler flags have dots themselves.
            return (*path[:index], ".".join(parts[index:])), None
        if isinstance(part, int):
            continue
        if section is None:
            return path, _beyond(path, index)
        known = find_key(section, part)
        if known is None and part not in section.not_covered:
            return path, unknown_key(path[: index + 1], None, section)
        path = (*path[:index], known or part, *path[index + 1 :])
    return path, None


def _beyond(path: Path, index: int) -> Problem | None:
    """A key inside a value: allowed where the schema takes any mapping."""
    parent = section_at(Params, path[: index - 1])
    if parent is not None:
        field = keys_of(parent).get(str(path[index - 1]))
        if field is not None and "dict" in str(field.annotation):
            return None
    return Problem(
        path=dotted(path),
        got=f"{path[index]} inside {dotted(path[:index])}",
        allowed=f"{dotted(path[:index])} alone, which is a value",
    )
