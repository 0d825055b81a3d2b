"""Imports point downwards. The two tables are the documentation of the layers."""

import ast
from collections.abc import Iterator
from pathlib import Path

import mediswift_cs

PACKAGE = Path(mediswift_cs.__file__).parent
TESTS = Path(__file__).parent

LAYER = {
    "errors": 0,
    "arguments": 1,
    "packages": 0,
    "progress": 0,
    "shipped_params": 0,
    "endings": 1,
    "tuning": 2,
    "storage": 1,
    "steps": 2,
    "sizes": 1,
    "machines": 2,
    "flops": 2,
    "pages": 2,
    "corpora": 2,
    "tokens": 2,
    "tasks": 2,
    "params": 3,
    "prepare": 4,
    "model": 4,
    "checkpoints": 5,
    "data": 5,
    "training": 6,
    "csx": 7,
    "evaluation": 7,
    "modelzoo": 8,
    "sweep": 8,
    "report": 8,
    "run": 9,
    "prompt_arguments": 9,
    "demo": 9,
    "doctor": 9,
    "demo_summary": 8,
    "replication": 10,
    "commands": 11,
    "cli": 12,
}

# The lowest layer that may import each heavy package.
HEAVY = {"torch": 4, "transformers": 4, "peft": 4, "cerebras.pytorch": 5, "cerebras.modelzoo": 8}

# Units whose tests also run in an environment without torch (the Makefile's test-light), and the
# files there that pytest then leaves out (tests/conftest.py).
LIGHT = ("storage", "params", "corpora", "tokens", "tasks", "prepare", "checkpoints")
NEED_TORCH = {
    "params": {"test_defaults", "test_param_filter"},
    # Most compare with torch, transformers or cerebras-pytorch, or convert what torch has drawn.
    "checkpoints": {
        *("small_checkpoints", "test_baked_prompt", "test_command_line", "test_engines"),
        *("test_export", "test_faults", "test_key_map_models", "test_killed"),
        *("test_lm_eval_scores", "test_mdl", "test_model_card", "test_modelzoo"),
        *("test_number_formats", "test_round_trip", "test_scaled_attention", "test_soft_prompt"),
        *("test_untrusted", "test_untrusted_params", "test_verify", "test_verify_bits"),
    },
}

# Units that serve every task, and what they may know of tasks: no one of them.
SERVE_EVERY_TASK = ("evaluation", "checkpoints", "report", "training", "data")
OF_ANY_TASK = {
    *("registry", "task", "example", "scoring", "metrics"),
    *("prompt_data", "prompt_folder", "prompt_layout"),
}

# Units of one layer of which the first may import the second.
SIBLINGS = {("tokens", "corpora"), ("tasks", "corpora"), ("tasks", "tokens")}


def imports(path: Path, top: bool = False) -> Iterator[str]:
    """Every module that a file imports, also inside functions; or at its top, helpers included."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            helper = path.parents[node.level - 1] / f"{node.module}.py"
            yield from imports(helper, top) if helper.is_file() else ()
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_allowed(unit: str, name: str) -> bool:
    """Whether a module of ``unit`` may import ``name``."""
    root, *rest = name.split(".")
    if root == "mediswift_cs":
        target = rest[0] if rest and rest[0] in LAYER else unit
        lower = LAYER[target] < LAYER[unit]
        return target == unit or lower or (unit, target) in SIBLINGS
    for package, lowest in HEAVY.items():
        if name == package or name.startswith(package + "."):
            return LAYER[unit] >= lowest
    return True


def test_imports_point_downwards() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        unit = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if unit != "__init__":
            wrong += [
                f"{path.relative_to(PACKAGE)} imports {name}"
                for name in imports(path)
                if not is_allowed(unit, name)
            ]
    assert not wrong, "\n".join(wrong)


def names_a_task(unit: str, name: str) -> bool:
    """Whether a unit that serves every task imports what belongs to some tasks alone."""
    parts = name.split(".")
    if unit not in SERVE_EVERY_TASK or parts[:2] != ["mediswift_cs", "tasks"]:
        return False
    return parts[2] not in OF_ANY_TASK


def test_those_that_serve_every_task_import_no_task() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for unit in SERVE_EVERY_TASK
        for path in sorted((PACKAGE / unit).rglob("*.py"))
        for name in imports(path)
        if names_a_task(unit, name)
    ]
    assert not wrong, "\n".join(wrong)


def test_control_a_task_by_name_is_seen() -> None:
    assert names_a_task("evaluation", "mediswift_cs.tasks.pubmedqa.PubMedQA")
    assert names_a_task("checkpoints", "mediswift_cs.tasks.label_sets.LabelSets")
    assert not names_a_task("evaluation", "mediswift_cs.tasks.registry.find_task")
    assert not names_a_task("commands", "mediswift_cs.tasks.pubmedqa.PubMedQA")


def needs_torch(path: Path) -> list[str]:
    """What a test file imports at its top that only a whole installation has."""
    units = ("model", "data", "training", "csx", "evaluation", "modelzoo", "checkpoints.verify")
    heavy = [*HEAVY, *(f"mediswift_cs.{unit}" for unit in units)]
    return [
        f"{path.name} imports {name}"
        for name in imports(path, top=True)
        if any(f"{name}.".startswith(f"{package}.") for package in heavy)
    ]


def test_tests_of_light_units_can_be_collected_without_torch() -> None:
    files = [path for unit in LIGHT for path in sorted((TESTS / unit).glob("*.py"))]
    light = [p for p in files if p.stem not in NEED_TORCH.get(p.parent.name, ())]
    assert not [line for path in [*light, TESTS / "test_flops.py"] for line in needs_torch(path)]
    # Control: of those that are left out, each has a reason.
    assert not [path.name for path in {*files} - {*light} if not needs_torch(path)]


def test_control_a_test_that_needs_torch_is_seen() -> None:
    assert needs_torch(TESTS / "training" / "test_hosts.py")
    assert needs_torch(TESTS / "end_to_end" / "test_accepted_params_run.py")


def test_every_unit_has_a_layer() -> None:
    units = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    assert units - {"__init__"} <= LAYER.keys()


def test_control_an_upward_import_is_seen() -> None:
    assert not is_allowed("corpora", "mediswift_cs.training.loop")
    assert not is_allowed("tokens", "torch.nn")
    assert not is_allowed("training", "cerebras.modelzoo.trainer")
    assert is_allowed("training", "mediswift_cs.model.decoder")
