"""All checks of a params file; the result is the list of everything that is wrong."""

from typing import Any

from mediswift_cs.params.data_rules import CheckData, check_data_rules
from mediswift_cs.params.describe import dotted
from mediswift_cs.params.problem import Problem
from mediswift_cs.params.rules import check_rules
from mediswift_cs.params.schema import Params
from mediswift_cs.params.shape import Shape, check_shape


def check(raw: Any, *, check_data: CheckData = "none") -> list[Problem]:
    """Every problem of a parsed YAML document; `raw` is left as it is."""
    return examine(raw, check_data=check_data)[1]


def examine(raw: Any, *, check_data: CheckData = "none") -> tuple[Params | None, list[Problem]]:
    """Shape first, then the rules between keys, then the data folders.

    Returns the params (None where there are problems) and the problems.
    """
    shape = check_shape(raw)
    problems = list(shape.problems)
    if shape.params is not None:
        found = [*check_rules(shape.params), *check_data_rules(shape.params, check_data)]
        problems += [problem for problem in found if not _is_moot(problem, shape)]
    problems = list(dict.fromkeys(problems))
    return (None if problems else shape.params), problems


def _is_moot(problem: Problem, shape: Shape) -> bool:
    """Whether the problem follows from a value that is wrong itself and was reported."""
    wrong = [dotted(path) for path in shape.wrong]
    return any(
        _is_within(path, other) or _is_within(other, path)
        for path in (problem.path, *problem.reads)
        for other in wrong
    )


def _is_within(path: str, other: str) -> bool:
    return path == other or path.startswith(other + ".")
