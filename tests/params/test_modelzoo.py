"""The schema beside ModelZoo's own: same keys, same defaults, and its own params files.

ModelZoo is read here, not imported: its trainer needs packages that are not on PyPI.
"""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.params.dataloader import NOT_COVERED as NOT_COVERED_DATA
from mediswift_cs.params.dataloader import DataLoaderParams
from mediswift_cs.params.decoder import NOT_COVERED, InitializerParams, ModelParams
from mediswift_cs.params.schema import (
    AutoRestartParams,
    CallbackParams,
    CheckpointParams,
    LoggerParams,
    LoggingParams,
    LoopParams,
    PrecisionParams,
)

from .conftest import check

pytestmark = pytest.mark.modelzoo

REQUIRED = "required"
NOT_LITERAL = "not a literal"


@pytest.fixture(scope="module")
def modelzoo() -> Path:
    """The folder of the package cerebras.modelzoo."""
    pytest.importorskip("cerebras.modelzoo", reason="put ModelZoo's src on PYTHONPATH")
    spec = importlib.util.find_spec("cerebras.modelzoo")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def find_class(folder: Path, name: str) -> ast.ClassDef:
    """The definition of a class somewhere below a folder."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    found = [
        node
        for path in paths
        if f"class {name}" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert len(found) == 1, (name, found)
    return found[0]


def value_of(node: ast.expr | None) -> Any:
    if node is None or (isinstance(node, ast.Constant) and node.value is Ellipsis):
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return NOT_LITERAL


def fields_of(folder: Path, name: str) -> dict[str, Any]:
    """Key -> default of a pydantic class, by its aliases."""
    fields: dict[str, Any] = {}
    for node in find_class(folder, name).body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        key, default = node.target.id, value_of(node.value)
        if isinstance(node.value, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.value.keywords}
            key = value_of(keywords["alias"]) if "alias" in keywords else key
            given = node.value.args[0] if node.value.args else keywords.get("default")
            default = NOT_LITERAL if given is None else value_of(given)
        fields[key] = default
    assert fields
    return fields


def arguments_of(folder: Path, name: str) -> dict[str, Any]:
    """Argument -> default of a class's constructor; empty if it has none of its own."""
    for node in find_class(folder, name).body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [argument.arg for argument in node.args.args]
            padding: list[ast.expr | None] = [None] * (len(names) - len(node.args.defaults))
            defaults = [value_of(value) for value in [*padding, *node.args.defaults]]
            return {k: v for k, v in zip(names, defaults, strict=True) if k != "self"}
    return {}


def ours(section: Any) -> dict[str, Any]:
    return {
        name: REQUIRED if info.is_required() else info.get_default(call_default_factory=True)
        for name, info in section.model_fields.items()
    }


def test_model_keys_and_defaults(modelzoo: Path) -> None:
    models = modelzoo / "models/nlp/gpt2"
    theirs = {
        **fields_of(models, "GPT2LMHeadModelConfig"),
        **fields_of(models, "GPT2ModelConfig"),
    }
    covered = {
        name: default for name, default in ours(ModelParams).items() if name not in ModelParams.ours
    }
    not_covered = set(NOT_COVERED) - {"moe_params", "memory_tokens_config"}  # of the aliases
    assert set(covered) | not_covered == set(theirs)
    assert not set(covered) & not_covered

    initializers = {"embedding_initializer", "initializer", "output_layer_initializer"}
    for name in set(covered) - initializers:
        assert covered[name] == theirs[name], name
    for name in not_covered - {"moe", "memory_tokens"}:
        assert theirs[name] in NOT_COVERED[name], name
    num_experts = fields_of(modelzoo / "layers", "MoEConfig")["num_experts"]
    assert {"num_experts": num_experts} in NOT_COVERED["moe"]


def test_initializers(modelzoo: Path) -> None:
    theirs = fields_of(modelzoo / "layers/init.py", "TruncatedNormalInitializer")
    mine = ours(InitializerParams)
    del theirs["name"], mine["name"]
    assert mine == theirs


def test_dataloader_keys_and_defaults(modelzoo: Path) -> None:
    theirs = {
        **fields_of(modelzoo / "data/common", "HDF5DatasetConfig"),
        **fields_of(modelzoo / "data/nlp/gpt", "GptHDF5MapDataProcessorConfig"),
    }
    mine = ours(DataLoaderParams)
    assert set(theirs) - set(mine) <= set(NOT_COVERED_DATA)
    assert set(mine) - set(theirs) == DataLoaderParams.ours
    assert mine["data_dir"] == REQUIRED  # ModelZoo's alternative is a mixture of several
    for name in set(mine) & set(theirs) - {"data_dir"}:
        assert mine[name] == theirs[name], name
    # The older processor reads the same files.
    older = fields_of(modelzoo / "data/nlp/gpt/config.py", "GptHDF5DataProcessorConfig")
    assert set(older) <= set(mine) | set(NOT_COVERED_DATA)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (LoopParams, "TrainingLoop"),
        (CheckpointParams, "Checkpoint"),
        (LoggingParams, "Logging"),
        (PrecisionParams, "MixedPrecision"),
        (AutoRestartParams, "AutoRestart"),
    ],
)
def test_trainer_sections(modelzoo: Path, section: Any, name: str) -> None:
    assert ours(section) == arguments_of(modelzoo / "trainer/callbacks", name)


# Written as a string in ModelZoo, and as a list of one here.
LISTS = {"load_checkpoint_states", "checkpoint_states"}


@pytest.mark.parametrize("section", [CallbackParams, LoggerParams])
def test_callbacks_and_loggers(modelzoo: Path, section: Any) -> None:
    num_compared = 0
    for name, info in section.model_fields.items():
        (arguments,) = [t for t in info.annotation.__args__ if t is not type(None)]
        if arguments.model_config["extra"] == "allow":
            continue
        theirs = arguments_of(modelzoo / "trainer", name)
        mine = ours(arguments)
        for key in LISTS & set(mine):
            assert mine[key] == [theirs[key]]
            mine[key] = theirs[key]
        assert mine == theirs, name
        num_compared += 1
    assert num_compared > 3


def gpt3_files(modelzoo: Path) -> dict[str, Path]:
    configs = modelzoo / "models/nlp/gpt3/configs"
    return {path.relative_to(configs).as_posix(): path for path in configs.rglob("*.yaml")}


def keys_at_fault(path: Path) -> set[str]:
    document = yaml.safe_load(path.read_text())
    document["trainer"]["init"]["model"]["name"] = "mediswift"
    return {problem.path.rpartition(".")[2] for problem in check(document)}


MUP = {
    "mup_base_hidden_size",
    "mup_base_filter_size",
    "scale_qk_dot_by_d",
    "output_logits_alpha",
    "embeddings_scale",
}


def test_the_gpt3_files_of_modelzoo(modelzoo: Path) -> None:
    """With the name changed: read, or refused by the names of what is not covered."""
    files = gpt3_files(modelzoo)
    assert len(files) == 25
    refused = {name: keys for name, path in files.items() if (keys := keys_at_fault(path))}
    mup = {name for name in files if "mup" in name.lower()}
    assert len(mup) == 7
    for name in mup:
        assert {"mup_base_hidden_size", "mup_base_filter_size"} <= refused.pop(name) <= MUP
    assert refused == {
        "Cerebras_GPT/13b_bs720.yaml": {"SequentialLR"},  # stops at a third of its schedule
    }
