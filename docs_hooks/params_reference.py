"""The reference of the params files, from the schema that reads them."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic.fields import FieldInfo

from mediswift_cs.params.problem import describe, keys_of, section_in, spell
from mediswift_cs.params.schema import Params
from mediswift_cs.params.section import OneNamed, Section


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    info: FieldInfo
    meaning: str
    is_ours: bool

    @property
    def section(self) -> type[Section] | None:
        """The section that is its value, or an entry of it."""
        return section_in(self.info.annotation)


def attribute_docstrings(section: type[Section]) -> dict[str, str]:
    """The text below each field of a class, by the field's name."""
    found: dict[str, str] = {}
    for class_ in reversed(section.__mro__):
        try:
            source = textwrap.dedent(inspect.getsource(class_))
        except (OSError, TypeError):
            continue  # made by create_model: its fields have descriptions
        (tree,) = ast.parse(source).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, text in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = inspect.cleandoc(str(text.value.value))
    return found


def keys(section: type[Section], are_ours: bool = False) -> list[Key]:
    """The keys of a section; all are ours where the section itself is."""
    texts = attribute_docstrings(section)
    names = {info.alias or name: name for name, info in section.model_fields.items()}
    return [
        Key(
            name=key,
            info=info,
            meaning=info.description or texts.get(names[key], ""),
            is_ours=are_ours or key in section.ours,
        )
        for key, info in keys_of(section).items()
    ]


def sections() -> Iterator[tuple[str, type[Section], list[Key]]]:
    """Path, class and keys of each section, once; the classes that a key may name are its keys."""
    yield from _sections("", Params, False, {})


def _sections(
    path: str, section: type[Section], are_ours: bool, seen: dict[type[Section], str]
) -> Iterator[tuple[str, type[Section], list[Key]]]:
    if section in seen or not section.model_fields:
        return
    seen[section] = path
    found = keys(section, are_ours)
    yield path, section, found
    for key in found:
        if key.section is not None:
            below = f"{path}.{key.name}".removeprefix(".")
            yield from _sections(below, key.section, key.is_ours, seen)


def default_of(info: FieldInfo) -> str:
    """What a key has where it is left out."""
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True)
    if isinstance(default, Section):
        given = (f"{name}: {spell(getattr(default, name))}" for name in default.model_fields_set)
        return f"`{{{', '.join(given)}}}`"
    return f"`{spell(list(default) if isinstance(default, tuple) else default)}`"


def _cell(text: str) -> str:
    # YAML's word for Python's None.
    text = re.sub(r"\bNone\b", "`null`", " ".join(text.split()))
    return text.replace("|", "\\|").replace("``", "`")


def _row(key: Key, paths: dict[type[Section], str]) -> str:
    type_ = describe(key.info.annotation, key.info.metadata)
    if key.section is not None and key.section in paths:
        type_ = f"{type_}: [`{paths[key.section]}`](#{anchor(paths[key.section])})"
    zoo = "**ours**" if key.is_ours else "the same"
    cells = (f"`{key.name}`", type_, default_of(key.info), key.meaning, zoo)
    return f"| {' | '.join(map(_cell, cells))} |"


def anchor(path: str) -> str:
    """The anchor of a section's heading."""
    return path.replace(".", "-").lower()


def _refused(section: type[Section]) -> str:
    names: Any = section.not_covered
    if not names:
        return ""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"\nKeys of ModelZoo that are refused unless they ask for nothing: {listed}.\n"


def params_keys() -> str:
    """A table for each section, in Markdown."""
    found = list(sections())
    paths = {section: path for path, section, _ in found if path}
    parts = []
    for path, section, its_keys in found:
        if not path:
            continue  # `trainer` alone
        one = "One of these keys.\n\n" if issubclass(section, OneNamed) else ""
        own = f"{_cell(section.__doc__)}\n\n" if section.__doc__ else ""
        rows = "\n".join(_row(key, paths) for key in its_keys)
        parts.append(
            f"## `{path}` {{ #{anchor(path)} }}\n\n{own}{one}"
            f"| key | value | default | meaning | ModelZoo |\n|---|---|---|---|---|\n{rows}\n"
            f"{_refused(section)}\n"
        )
    return "".join(parts)
