"""From a file name and overrides to checked params, before anything heavy is imported."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import mediswift_cs
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.data_rules import check_data_rules
from mediswift_cs.params.document import read_yaml
from mediswift_cs.params.overrides import parse_overrides
from mediswift_cs.params.problem import Problem, dotted, nearest
from mediswift_cs.params.rules import check_rules
from mediswift_cs.params.run_options import CheckData
from mediswift_cs.params.schedule_overrides import apply_overrides
from mediswift_cs.params.schema import Params
from mediswift_cs.params.shape import Shape, check_shape


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

    def check_data(self, check_data: CheckData) -> None:
        """Check the data folders, where that was put off.

        Raises:
            ConfigError: with one line for each problem.
        """
        _refuse(dict.fromkeys(check_data_rules(self.params, check_data)), self.source)


def load_params(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    check_data: CheckData,
    put_data_off: bool = False,
) -> LoadedParams:
    """Read a params file, apply ``KEY=VALUE`` overrides and check the result.

    Schedules follow overrides of max_steps and of the optimizer's learning_rate, updates of masks
    those of max_steps, and notes say so
    (:func:`mediswift_cs.params.schedule_overrides.apply_overrides`). A mapping that the file uses
    twice through a YAML anchor is one mapping: an override changes it in both places.

    Args:
        name_or_path: a path, or the bare name of a shipped file such as mediswift_xl_75.yaml.
        overrides: for example ``["trainer.init.loop.max_steps=20"]``.
        check_data: which dataloaders' folders must be there and fit the model.
        put_data_off: look at the folders only where the file is wrong by itself, to list their
            problems with its own; :meth:`LoadedParams.check_data` checks them otherwise.

    Raises:
        ConfigError: with one line for each problem.
    """
    parsed = parse_overrides(overrides)
    source = find_params_file(name_or_path)
    document, notes, contradictions = apply_overrides(read_yaml(source), parsed)
    params, problems = examine(document, check_data=check_data, put_data_off=put_data_off)
    problems += contradictions
    _refuse(problems, source)
    assert params is not None
    return LoadedParams(params=params, raw=document, source=source, notes=tuple(notes))


def fingerprint(raw: dict[str, Any]) -> str:
    """The sha256 of a document's content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


def _refuse(problems: Iterable[Problem], source: Path) -> None:
    if lines := [problem.line(source.name) for problem in problems]:
        raise ConfigError("\n".join(lines))


def examine(
    raw: Any, *, check_data: CheckData = "none", put_data_off: bool = False
) -> tuple[Params | None, list[Problem]]:
    """Check a parsed YAML document: shape first, then the rules between keys, then data folders.

    The options are those of :func:`load_params`; `raw` is left as it is.

    Returns:
        The params (None where there are problems) and everything that is wrong.
    """
    shape = check_shape(raw)
    problems = list(shape.problems)
    if shape.params is not None:
        found = list(check_rules(shape.params))
        if problems or found or not put_data_off:
            found += check_data_rules(shape.params, check_data)
        problems += [problem for problem in found if not _is_moot(problem, shape)]
    problems = list(dict.fromkeys(problems))
    return (None if problems else shape.params), problems


def _is_moot(problem: Problem, shape: Shape) -> bool:
    """Whether the problem follows from a value that is wrong itself and was reported."""
    return any(
        f"{path}.".startswith(f"{dotted(wrong)}.") or f"{dotted(wrong)}.".startswith(f"{path}.")
        for path in (problem.path, *problem.reads)
        for wrong in shape.wrong
    )


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
    if found := shipped.get(name) or shipped.get(f"{name}.yaml"):
        return found
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
        if found := sorted(folder.rglob("mediswift_*.yaml")):
            return {path.relative_to(folder).as_posix(): path for path in found}
    return {}
