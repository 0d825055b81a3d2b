"""Which modules a page of the Python API has; their text is that of the docstrings."""

from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def modules_of(name: str) -> list[str]:
    """The modules that a name below the package stands for: itself, or those in its folder.

    Raises:
        FileNotFoundError: there is neither.
    """
    path = SOURCE / "mediswift_cs" / name.replace(".", "/")
    found = sorted(path.glob("[!_]*.py")) if path.is_dir() else [path.with_suffix(".py")]
    if not found or not found[0].is_file():
        raise FileNotFoundError(f"no module mediswift_cs.{name}")
    return [".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in found]


def modules(*names: str) -> str:
    """The modules of these names, as mkdocstrings reads them."""
    return "\n\n".join(f"::: {module}" for name in names for module in modules_of(name))
