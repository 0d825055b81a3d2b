"""Accepted means that three steps run; refused means a sentence that names the key or its section.

The values come from the schema: each key that a params file may have, with values of its type, at
its limits and far beyond them, and with values of other types.
"""

import contextlib
import copy
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from mediswift_cs.errors import MediSwiftError
from mediswift_cs.params.load import load_params
from mediswift_cs.params.problem import keys_of, section_in
from mediswift_cs.params.schema import Params
from mediswift_cs.params.section import OneNamed, Section
from mediswift_cs.params.weights import num_parameters
from mediswift_cs.run import main
from mediswift_cs.training import loop
from mediswift_cs.training.plan import RunPlan

NUM_EXAMPLES = int(os.environ.get("MEDISWIFT_EXAMPLES", "60"))
NUM_STEPS = 3
# What is accepted may be larger than what a test can run.
TOO_LARGE = -1
MAX_PARAMETERS, MAX_TOKENS_A_STEP, MAX_WORKERS = 500_000, 20_000, 1

Path_ = tuple[str | int, ...]
Run = Callable[[dict[str, Any]], tuple[int, str, Path]]


def leaves(section: type[Section], node: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Path and type of every key that the schema has at and below a section of the document."""
    for key, info in keys_of(section).items():
        if issubclass(section, OneNamed) and key not in node:
            continue  # the name of another class
        child, inner = node.get(key), section_in(info.annotation)
        yield (*path, key), info.annotation
        if inner is None:
            continue
        if isinstance(child, list):
            for index, entry in enumerate(child):
                if isinstance(entry, dict):
                    yield from leaves(inner, entry, (*path, key, index))
        elif isinstance(child, dict):
            yield from leaves(inner, child, (*path, key))
        elif not issubclass(inner, OneNamed):
            yield from leaves(inner, {}, (*path, key))


def literals(annotation: Any) -> list[Any]:
    """The values that a type names, such as those of an enumeration."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for argument in get_args(annotation) for value in literals(argument)]


INTEGERS = st.sampled_from([0, 1, 2, 3, 4, 7, 16, 17, 64, 2**20, 2**31, 2**63 - 1, 2**63, 10**30])
FLOATS = st.sampled_from(
    [0.0, -0.0, 0.3, 0.999, 1.0, 1.5, -1.0, 1e-8, 5e-324, 1e30, 1e308, float("inf"), float("nan")]
)
# No "/": nothing may be written outside of the test's own folder.
TEXTS = st.text(st.characters(exclude_characters="/", codec=None), max_size=6)
ODD = st.sampled_from(
    ["", "1e-8", "\0", "\ud800", "inf", [], {}, [None], {"a": 1}, {1: 2}, [[]], b"x", {1, 2},
     date(2026, 1, 2), {"a": date(2026, 1, 2)}, True, False, None]
)  # fmt: skip
SCALARS = st.one_of(INTEGERS, st.integers(), FLOATS, st.floats(), TEXTS, ODD)


def types_in(annotation: Any) -> set[Any]:
    """The plain types of which a value may be, such as int in `list[int] | None`."""
    inner = [types_in(argument) for argument in get_args(annotation)]
    return {annotation}.union(*inner) & {int, float, bool, str, list, tuple}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value, those of the type and those that it names more often than others."""
    fitting: list[st.SearchStrategy[Any]] = []
    types = types_in(annotation)
    if int in types:
        fitting += [INTEGERS, st.integers(0, 8)]
    if float in types:
        fitting += [FLOATS, st.floats(0, 1)]
    if bool in types:
        fitting.append(st.booleans())
    if str in types:
        fitting.append(TEXTS)
    if named := literals(annotation):
        fitting.append(st.sampled_from(named))
    if "tuple" in str(annotation) or "list" in str(annotation):
        fitting = [st.lists(st.one_of(*fitting or [SCALARS]), max_size=3)]
    anything = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
    return st.one_of(*fitting, *fitting, *fitting, anything)


RATES = {"initial_learning_rate": 1e-2, "end_learning_rate": 1e-3}
SCHEDULES: list[dict[str, Any]] = [
    {
        "SequentialLR": {
            "schedulers": [
                {"LinearLR": {**RATES, "total_iters": 1}},
                {"CosineDecayLR": {**RATES, "total_iters": NUM_STEPS - 1}},
            ]
        }
    },
    {"PolynomialLR": {**RATES, "total_iters": NUM_STEPS, "power": 1.0}},
    {"InverseSquareRootDecayLR": {"initial_learning_rate": 1e-2}},
    {"ConstantLR": {"learning_rate": 1e-2}},
]


def put(document: dict[str, Any], path: Path_, value: Any) -> None:
    """Set one value, in a new section where there is none."""
    node: Any = document
    for part in path[:-1]:
        if isinstance(node, dict) and not isinstance(node.get(part), dict | list):
            node[part] = {}
        node = node[part]
    node[path[-1]] = value


@pytest.fixture(scope="module")
def document(make_toy_raw: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    raw = make_toy_raw()
    init = raw["trainer"]["init"]
    init["callbacks"] = [{"KeepNCheckpoints": {"n": 2}}]
    init["loop"] = {"max_steps": NUM_STEPS, "eval_frequency": 2}
    init["checkpoint"] = {"steps": 2}
    init["logging"] = {"log_steps": 1}
    init["schedulers"] = [SCHEDULES[0]]
    return raw


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Train on a document as `run.py CPU` does; returns code, what was printed, folder."""

    def three_steps(*arguments: Any, **options: Any) -> RunPlan:
        plan = plan_run(*arguments, **options)
        return replace(plan, last_step=min(plan.last_step, plan.first_step + NUM_STEPS))

    def run(raw: dict[str, Any]) -> tuple[int, str, Path]:
        folder = tmp_path_factory.mktemp("run", numbered=True)
        (folder / "mine.yaml").write_text(yaml.safe_dump(raw))
        printed = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stderr(printed):
            if is_too_large(folder / "mine.yaml"):
                return TOO_LARGE, "", folder
            code = main(["CPU", "--params", "mine.yaml", "--engine", "torch"])
        return code, printed.getvalue(), folder

    plan_run = loop.plan_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "plan_run", three_steps)
        yield run


def is_too_large(file: Path) -> bool:
    try:
        params = load_params(file, ["trainer.init.backend.backend_type=CPU"], check_data="none")
    except MediSwiftError:
        return False
    init, fit = params.params.trainer.init, params.params.trainer.fit
    if fit is None:
        return False
    loaders = [fit.train_dataloader, *(fit.val_dataloader or [])]
    tokens = init.loop.grad_accum_steps * max(loader.batch_size for loader in loaders) * 16
    return (
        num_parameters(init.model) > MAX_PARAMETERS
        or tokens > MAX_TOKENS_A_STEP
        or max(loader.num_workers for loader in loaders) > MAX_WORKERS
    )


def test_control_the_document_itself_runs(document: dict[str, Any], run: Run) -> None:
    code, printed, folder = run(document)
    assert code == 0, printed
    lines = (folder / "model_dir" / "metrics.jsonl").read_text().splitlines()
    assert [line["step"] for line in map(json.loads, lines) if "loss" in line] == [1, 2, 3]


@settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    phases=[Phase.generate],  # a smaller case says no more, and each one takes a second
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize="MEDISWIFT_EXAMPLES" not in os.environ,
)
@given(data=st.data())
def test_accepted_params_run_and_refused_ones_are_named(
    document: dict[str, Any], run: Run, data: st.DataObject
) -> None:
    raw = copy.deepcopy(document)
    raw["trainer"]["init"]["schedulers"] = [copy.deepcopy(data.draw(st.sampled_from(SCHEDULES)))]
    changes = []
    for _ in range(data.draw(st.integers(1, 2))):
        path, annotation = data.draw(st.sampled_from(list(leaves(Params, raw))))
        value = data.draw(values(annotation))
        put(raw, path, value)
        changes.append((path, value))
    check_one(raw, run, changes)


def check_one(raw: dict[str, Any], run: Run, changes: list[tuple[Path_, Any]]) -> None:
    """See that three steps run, or that a sentence names one of the changes."""
    code, printed, _ = run(raw)
    event(f"exit code {code}")
    if code == 2:
        assert "error: " in printed, (changes, printed)
        # Where two keys of a section do not go together, either may be the one that is named.
        places = [(str(path[-1]), ".".join(map(str, path[:-1]))) for path, _ in changes]
        # Of a checkpoint, its name is said.
        places += [(value, value) for _, value in changes if isinstance(value, str) and value]
        assert any(place in printed for pair in places for place in pair), (changes, printed)
        assert "Traceback" not in printed
    elif code == 1:
        assert "finite" in printed, (changes, printed)
    else:
        assert code in (0, TOO_LARGE), (changes, printed)
