"""One mistake in a params file, in words: where it is, what was found, what the schema allows."""

import difflib
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mediswift_cs.params.section import FLOAT_MAX, INT_END, OneNamed, Section

Path = tuple[str | int, ...]

# Every number has these limits: they are said where they are broken.
WIDEST = {
    INT_END: "less than 2^63",
    FLOAT_MAX: "at most 3.4e38, as in float32",
    -FLOAT_MAX: "at least -3.4e38, as in float32",
}

# What annotated_types and pydantic call the limits of a value.
BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "pattern": "matching",
    "min_length": "of a length of at least",
}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong at one key."""

    path: str
    """Dotted path of the key, as ``trainer.init.model.num_heads``."""
    got: str
    allowed: str
    hint: str = ""
    """How to mend it, where that is not obvious."""
    reads: tuple[str, ...] = ()
    """Further keys whose values led to this; if one of them is wrong itself, this is moot."""

    def line(self, source: str) -> str:
        """The problem in one line, with the file's name."""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.path}: got {self.got}, allowed: {self.allowed}{hint} (in {source})"


def misfit(path: str, section: Section, allowed: str, *reads: str, hint: str = "") -> Problem:
    """The value at `path`, which is a key of `section`, does not go with those that it reads."""
    value = getattr(section, path.rpartition(".")[2])
    got = str(value) if isinstance(value, str) else spell(value)
    return Problem(path=path, got=got, allowed=allowed, hint=hint, reads=reads)


def spell(value: object) -> str:
    """A value as YAML would show it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, date):
        return f"the date {value}"
    if isinstance(value, dict):
        return f"a mapping with the keys {', '.join(map(str, value))}" if value else "{}"
    # reprlib stays short however large or deep the value is.
    return _SHORT.repr(value)


def dotted(path: Path) -> str:
    """``("trainer", "init", "schedulers", 0)`` -> ``trainer.init.schedulers.0``."""
    return ".".join(map(_spell_part, path)) or "the file"


def _spell_part(part: object) -> str:
    """A key as it is, or so that it can be printed."""
    text = part if isinstance(part, str) else spell(part) if isinstance(part, int) else str(part)
    return text if text.isprintable() else repr(text)


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The fields of a section by the keys that YAML has for them."""
    return {info.alias or name: info for name, info in section.model_fields.items()}


def find_key(section: type[Section], key: str) -> str | None:
    """The key as the schema spells it; class names may be written in any case."""
    folded = str.lower if issubclass(section, OneNamed) else str
    return next((name for name in keys_of(section) if folded(name) == folded(key)), None)


def section_at(root: type[Section], path: Path) -> type[Section] | None:
    """The section that `path` leads to; None where it leads to a value or nowhere."""
    section: type[Section] | None = root
    for part in path:
        if isinstance(part, int):
            continue  # lists hold sections of one class, which `section` already is
        name = find_key(section, part) if section is not None else None
        if section is None or name is None:
            return None
        section = section_in(keys_of(section)[name].annotation)
    return section


def nearest(key: str, known: Sequence[str]) -> str | None:
    """The known key that looks most like `key`."""
    matches = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def section_in(annotation: Any) -> type[Section] | None:
    """The section class inside Annotated, Optional and list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)


def describe(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a field allows: ``a whole number, at least 1``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return describe(arguments[0], [*metadata, *arguments[1:]])
    if annotation is type(None):
        return "null"
    if origin in (Union, UnionType):
        # metadata of an optional field belong to the alternative that is not None
        words = (describe(argument, metadata) for argument in arguments)
        return " or ".join(dict.fromkeys(words))
    if origin is Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin is list:
        return f"a list, each entry {describe(arguments[0])}"
    if origin is tuple:
        return f"a list of {len(arguments)}, each {describe(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        keys = list(keys_of(annotation))
        if issubclass(annotation, OneNamed):
            return f"a mapping with one key, one of {', '.join(keys)}"
        return annotation.described or ("a mapping" if keys else "an empty mapping")
    return _describe_scalar(annotation, metadata)


def _describe_scalar(annotation: Any, metadata: Sequence[Any]) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    word = names.get(annotation, "a mapping" if get_origin(annotation) is dict else "a value")
    bounds = [
        f"{words} {limit:g}" if isinstance(limit, float) else f"{words} {limit}"
        for name, words in BOUNDS.items()
        for meta in metadata
        if (limit := getattr(meta, name, None)) not in (None, *WIDEST)
    ]
    return f"{word}, {' and '.join(bounds)}" if bounds else word
