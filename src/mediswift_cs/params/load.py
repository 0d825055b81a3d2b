"""From a file name and overrides to checked params, before anything heavy is imported."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import mediswift_cs
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.check import examine
from mediswift_cs.params.data_rules import CheckData
from mediswift_cs.params.describe import nearest
from mediswift_cs.params.document import read_yaml
from mediswift_cs.params.overrides import apply_override, parse_overrides
from mediswift_cs.params.rescale import rescale_schedules
from mediswift_cs.params.schema import Params
from mediswift_cs.params.shape import check_shape

MAX_STEPS = ("trainer", "init", "loop", "max_steps")
SCHEDULERS = ("trainer", "init", "schedulers")


@dataclass(frozen=True, kw_only=True)
class LoadedParams:
    """Checked params and where they came from.

    Attributes:
        params: the checked params.
        raw: the YAML document with the overrides in it, as plain data.
        source: the file that was read.
        notes: sentences for the log: what was changed beyond the overrides.
    """

    params: Params
    raw: dict[str, Any]
    source: Path
    notes: tuple[str, ...] = ()


def load_params(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, check_data: CheckData
) -> LoadedParams:
    """Read a params file, apply ``KEY=VALUE`` overrides and check the result.

    Where ``trainer.init.loop.max_steps`` is overridden and the schedules are not, the schedules
    are stretched or shortened with it, and a note says so. A mapping that the file uses twice
    through a YAML anchor is one mapping: an override changes it in both places.

    Args:
        name_or_path: a path, or the bare name of a shipped file such as mediswift_xl_75.yaml.
        overrides: for example ``["trainer.init.loop.max_steps=20"]``.
        check_data: which dataloaders' folders must be there and fit the model.

    Raises:
        ConfigError: with one line for each problem.
    """
    parsed = parse_overrides(overrides)
    source = find_params_file(name_or_path)
    document = read_yaml(source)
    before = copy.deepcopy(document)
    for override in parsed:
        apply_override(document, override)
    notes: list[str] = []
    paths = [override.path for override in parsed]
    if MAX_STEPS in paths and not any(path[:3] == SCHEDULERS for path in paths):
        shape = check_shape(before)
        if shape.params is not None and not shape.problems:
            notes = rescale_schedules(document, shape.params)
    params, problems = examine(document, check_data=check_data)
    if params is None:
        raise ConfigError("\n".join(problem.line(source.name) for problem in problems))
    return LoadedParams(params=params, raw=document, source=source, notes=tuple(notes))


def find_params_file(name_or_path: str | Path) -> Path:
    """A file at this path, or the shipped file of this name.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    name = str(name_or_path)
    shipped = shipped_files()
    for candidate in (name, f"{name}.yaml"):
        if candidate in shipped:
            return shipped[candidate]
    guess = nearest(PurePath(name).name, list(shipped))
    hint = f"; did you mean {guess}?" if guess else ""
    raise ConfigError(
        f"params file: got {name!r}, which is no file, allowed: a path or one of the shipped "
        f"files {', '.join(shipped)}{hint}"
    )


def shipped_files() -> dict[str, Path]:
    """The files that come with the package, by their name below the folder of params files."""
    package = Path(mediswift_cs.__file__).parent
    # In a wheel they lie inside the package; in a checkout in params/ at its root.
    for folder in (package / "shipped_params", package.parents[1] / "params"):
        found = sorted(folder.rglob("mediswift_*.yaml"))
        if found:
            return {path.relative_to(folder).as_posix(): path for path in found}
    return {}
