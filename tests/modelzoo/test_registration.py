"""What ModelZoo's registry gets to know of us, and that the configurations are ours."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import mediswift_cs
from mediswift_cs.errors import ConfigError
from mediswift_cs.modelzoo import hook, register, registration
from mediswift_cs.params.schema import DataLoaderParams, ModelParams

from .conftest import run_python


class FakeRegistry:
    """The part of ModelZoo's registry that registering uses."""

    def __init__(self) -> None:
        self.registry = ModuleType("entries")
        self.registry.models = ()  # type: ignore[attr-defined]

    def register_model(self, **entry: Any) -> None:
        new = registration.ModelEntry(**entry)
        self.registry.models = (*self.registry.models, new)


@pytest.fixture
def table() -> ModuleType:
    module = ModuleType("cerebras.modelzoo.registry.registry")
    module.registry = FakeRegistry()  # type: ignore[attr-defined]
    return module


def test_registering_twice_adds_each_model_once(table: ModuleType) -> None:
    hook.extend(table)
    hook.extend(table)
    names = [entry.name for entry in table.registry.registry.models]
    assert names == ["mediswift", "mediswift_finetuning"]


def test_a_name_that_is_taken_is_refused(table: ModuleType) -> None:
    table.registry.register_model(name="mediswift", path="other.Model", data_processor_paths=("x",))
    with pytest.raises(ConfigError, match=r"got other\.Model, allowed: mediswift_cs"):
        hook.extend(table)


def test_without_modelzoo_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "is_found", lambda: False)
    with pytest.raises(ConfigError, match="clone the repository Cerebras/modelzoo"):
        register()
    monkeypatch.setattr(registration, "is_found", lambda: True)
    monkeypatch.setattr(registration, "missing_packages", lambda: ["lm_eval"])
    with pytest.raises(
        ConfigError, match=r'lm_eval: pip install .* -e "\.\[modelzoo\]" in a checkout'
    ):
        register()


def test_the_hook_imports_nothing_at_the_start_of_a_process(tmp_path: Any) -> None:
    # Without site-packages' .pth files, so that nothing but the hook itself shows.
    source = str(Path(mediswift_cs.__file__).parents[1])
    code = f"""
import sys
sys.path[:] = {[source, *sys.path]!r}
before = set(sys.modules)
import mediswift_cs.modelzoo.hook
mediswift_cs.modelzoo.hook.install()
print(sorted(set(sys.modules) - before))
"""
    result = run_python("-S", "-c", code, cwd=tmp_path)
    ours = ["mediswift_cs", "mediswift_cs.modelzoo", "mediswift_cs.modelzoo.hook"]
    assert result.stdout.strip() == str(["__future__", *ours])


@pytest.mark.modelzoo
def test_modelzoo_finds_model_and_data_processors() -> None:
    register()
    register()
    from cerebras.modelzoo.registry import registry

    for entry in registration.MODELS:
        assert registry.get_model_names().count(entry.name) == 1
        assert registry.get_model_class(entry.name).__name__ == entry.path.rpartition(".")[2]
        names = [path.rpartition(".")[2] for path in entry.data_processor_paths]
        assert list(registry.get_data_processor_names(entry.name)) == names
    from cerebras.modelzoo.tools.checkpoint_converters.registry import converters

    assert converters["mediswift"] == converters["gpt2"]


@pytest.mark.modelzoo
@pytest.mark.parametrize(
    ("ours", "theirs", "discriminator"),
    [
        (ModelParams, "MediSwiftModelConfig", "name"),
        (ModelParams, "MediSwiftFineTuningModelConfig", "name"),
        (DataLoaderParams, "MediSwiftPretrainingDataProcessorConfig", "data_processor"),
        (DataLoaderParams, "MediSwiftPromptDataProcessorConfig", "data_processor"),
    ],
)
def test_each_key_and_default_is_ours(ours: type[Any], theirs: str, discriminator: str) -> None:
    register()
    config = getattr(importlib.import_module("mediswift_cs.modelzoo.models"), theirs)
    assert issubclass(config, ours)
    assert list(config.model_fields) == list(ours.model_fields)
    for key, mine in ours.model_fields.items():
        if key != discriminator:
            field = config.model_fields[key]
            assert (field.annotation, field.get_default(call_default_factory=True)) == (
                mine.annotation,
                mine.get_default(call_default_factory=True),
            )
    required = {"data_dir": "d", "batch_size": 1} if discriminator == "data_processor" else {}
    filled, expected = config(**required).model_dump(), None
    expected = ours(**required, **{discriminator: filled[discriminator]}).model_dump()
    assert filled == expected
