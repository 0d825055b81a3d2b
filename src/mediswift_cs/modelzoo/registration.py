"""The table of what ModelZoo's registry gets to know, and how it gets there."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from mediswift_cs.errors import ConfigError

# Neither ModelZoo nor this package is on a package index.
INSTALL_PACKAGES = 'pip install -c constraints.txt -e ".[modelzoo]" in a checkout of mediswift_cs'
HOW_TO_INSTALL = (
    "clone the repository Cerebras/modelzoo at its tag Release_2.10.0, pip install --no-deps -e "
    f"that clone, and {INSTALL_PACKAGES}"
)

# What ModelZoo 2.10's trainer and command line import beyond the requirements of this package;
# the extra `modelzoo` in setup.cfg has their versions.
REQUIRED_PACKAGES = ("argcomplete", "jsonschema", "lm_eval", "slack_sdk", "torchvision")


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model; paths are ``package.module.Class``, imported only when they are used."""

    name: str
    path: str
    data_processor_paths: tuple[str, ...]
    converters: str | None = None
    """ModelZoo's model with the same checkpoint keys, whose checkpoint converters fit ours."""


MODELS = (
    ModelEntry(
        name="mediswift",
        path="mediswift_cs.modelzoo.models.MediSwiftModel",
        data_processor_paths=(
            "mediswift_cs.modelzoo.models.MediSwiftPretrainingDataProcessor",
            "cerebras.modelzoo.data.nlp.gpt.GptHDF5MapDataProcessor.GptHDF5MapDataProcessor",
            "cerebras.modelzoo.data.nlp.gpt.GptHDF5DataProcessor.GptHDF5DataProcessor",
        ),
        converters="gpt2",
    ),
    ModelEntry(
        name="mediswift_finetuning",
        path="mediswift_cs.modelzoo.models.MediSwiftFineTuningModel",
        data_processor_paths=(
            "mediswift_cs.modelzoo.models.MediSwiftPromptDataProcessor",
            "mediswift_cs.modelzoo.models.MediSwiftPretrainingDataProcessor",
        ),
        # Without one: ModelZoo's converters know no soft prompt; mediswift convert does.
    ),
)


def is_found() -> bool:
    """Whether there is a ModelZoo; imports nothing of it but the namespace ``cerebras``."""
    return _can_find("cerebras.modelzoo")


def missing_packages() -> list[str]:
    """The packages of :data:`REQUIRED_PACKAGES` that are not installed, by their import names."""
    return [name for name in REQUIRED_PACKAGES if not _can_find(name)]


def _can_find(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def require_modelzoo() -> None:
    """Raise ConfigError, with the way to get it, where ModelZoo cannot be used."""
    if not is_found():
        raise ConfigError(f"cerebras.modelzoo cannot be imported: {HOW_TO_INSTALL}")
    if missing := missing_packages():
        raise ConfigError(
            f"ModelZoo needs packages that are not installed, got none of {', '.join(missing)}: "
            f"{INSTALL_PACKAGES}"
        )


def extend_models(module: ModuleType) -> None:
    """Add those of :data:`MODELS` that ModelZoo's registry does not have yet."""
    registry = module.registry
    known = {entry.name: entry.path for entry in registry.registry.models}
    for model in MODELS:
        if model.name not in known:
            registry.register_model(
                name=model.name,
                path=model.path,
                data_processor_paths=model.data_processor_paths,
            )
        elif known[model.name] != model.path:
            raise ConfigError(
                f"the model name {model.name} is taken in ModelZoo's registry, got "
                f"{known[model.name]}, allowed: {model.path}; disable the other plug-in"
            )


def extend_converters(module: ModuleType) -> None:
    """Offer ModelZoo's checkpoint converters under our models' names."""
    for model in MODELS:
        if model.converters is not None:
            module.converters.setdefault(model.name, module.converters[model.converters])
