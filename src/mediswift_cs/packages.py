"""The packages that this one asks for: which are there, in which version, and what installs one."""

import importlib.metadata
import importlib.util
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING

from mediswift_cs import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

OWN = "mediswift_cs"
CEREBRAS, MODELZOO = "cerebras-pytorch", "cerebras-modelzoo"
CEREBRAS_PYTHON = "3.11"
NO_CEREBRAS = f"{CEREBRAS} has wheels for Python {CEREBRAS_PYTHON} only, this is {{}}"

# What is installed under another name than it is imported by.
DISTRIBUTIONS = {
    "cerebras": CEREBRAS,
    "lm_eval": "lm-eval",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "yaml": "pyyaml",
}


def version_of(distribution: str) -> str | None:
    """The version of a distribution that is installed, or None; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except PackageNotFoundError:
        return None


@cache
def requirements() -> tuple["Requirement", ...]:
    """What the metadata of this package asks for, extras included; none where it has no metadata.

    Raises:
        ModuleNotFoundError: the package ``packaging`` is not installed.
    """
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires(OWN) or []
    except PackageNotFoundError:
        lines = []
    return tuple(Requirement(line) for line in lines)


def asked_for(extra: str = "", *, with_cerebras: bool = True) -> dict[str, "SpecifierSet"]:
    """The versions allowed of each distribution for this Python, by its name.

    Args:
        extra: the name of an extra whose own packages are given instead of the default ones.
        with_cerebras: include cerebras-pytorch and the bounds that hold for it alone.
    """
    found: dict[str, SpecifierSet] = {}
    for requirement in requirements():
        marker = requirement.marker
        # Those of cerebras-pytorch are the only ones with a marker beside that of an extra.
        is_cerebras = marker is not None and "python_version" in str(marker)
        belongs = marker is None or marker.evaluate({"extra": extra})
        belongs = belongs and bool(extra) == ("extra" in str(marker))
        if belongs and (with_cerebras or not is_cerebras):
            name = requirement.name.lower()
            known = found.get(name)
            found[name] = requirement.specifier if known is None else known & requirement.specifier
    return found


def extras() -> list[str]:
    """The names of the extras."""
    try:
        return importlib.metadata.metadata(OWN).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []


def install_command(*modules: str) -> str | None:
    """The command that installs what is imported by these names, in the versions asked for.

    None where one of them is nothing that this package asks for.
    """
    try:
        known = asked_for(with_cerebras=version_of(CEREBRAS) is not None)
        for extra in extras():
            known = {**asked_for(extra), **known}
    except ModuleNotFoundError:
        known = {}
    names = [DISTRIBUTIONS.get(module, module) for module in modules]
    if not known:
        return " ".join(["pip install", *names])
    if not all(name in known for name in names):
        return None
    return " ".join(["pip install", *(f"'{name}{known[name]}'" for name in names)])


def checkout_command(extra: str = "") -> str:
    """The command that installs this package, or an extra, from a checkout.

    The file of tested versions is for the Python of cerebras-pytorch alone.
    """
    what = f"'.[{extra}]'" if extra else "."
    constraints = "-c constraints.txt " if is_cerebras_python() else ""
    return f"pip install {constraints}-e {what} in a checkout"


def is_cerebras_python() -> bool:
    """Whether cerebras-pytorch has wheels for this Python."""
    return platform.python_version().startswith(f"{CEREBRAS_PYTHON}.")


def cerebras_command() -> str:
    """The command that installs cerebras-pytorch with what else has to be in its versions."""
    pinned = [each for each in requirements() if "python_version" in str(each.marker)]
    names = [f"'{each.name}{each.specifier}'" for each in pinned]
    return " ".join(["pip install", *(names or [CEREBRAS])])


def modelzoo_version() -> str | None:
    """The version of ModelZoo, "on PYTHONPATH" without one, or None; nothing is imported."""
    spec = importlib.util.find_spec("cerebras")
    places = spec.submodule_search_locations if spec is not None else None
    is_there = any((Path(place) / "modelzoo").is_dir() for place in places or [])
    return version_of(MODELZOO) or ("on PYTHONPATH" if is_there else None)


def missing_package(module: str) -> str:
    """One sentence for whoever lacks the package that is imported by this name."""
    root = module.partition(".")[0]
    name = DISTRIBUTIONS.get(root, root)
    start = f"this command needs the package {name}, which is not installed"
    if name == CEREBRAS:
        if module.startswith("cerebras.modelzoo"):
            return "this command needs ModelZoo, which cannot be imported: docs/modelzoo.md"
        if not is_cerebras_python():
            return f"{start}: {NO_CEREBRAS.format(platform.python_version())}"
        return f"{start}: {cerebras_command()}"
    return f"{start}: {install_command(root) or 'pip check says which other one asks for it'}"


def versions() -> dict[str, str]:
    """What a report of a fault has to say: this package, Python, torch, Cerebras's packages."""
    found = {
        "torch": version_of("torch"),
        CEREBRAS: version_of(CEREBRAS),
        "ModelZoo": modelzoo_version(),
    }
    named = {name: version or "not installed" for name, version in found.items()}
    return {OWN: __version__, "Python": platform.python_version(), **named}
