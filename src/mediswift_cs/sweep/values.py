"""The key and the values of ``--sweep KEY=V1,V2``."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.document import parse_yaml

OPTION = "--sweep"
# Their numbers are names: 2 is not between 1 and 3.
_SEEDS = ("seed", "shuffle_seed")
# YAML reads 1e-3 as text.
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_MAX_NAME = 40


@dataclass(frozen=True)
class SweptValue:
    """One value of the key that is swept.

    Attributes:
        content: the value as YAML reads it; 1e-3 is a number.
        number: it as a number; None for text, a mapping or a list, true, false and null.
    """

    content: Any
    number: float | None

    @property
    def text(self) -> str:
        """The value as JSON, which YAML reads too."""
        return json.dumps(self.content, ensure_ascii=False)

    @property
    def shown(self) -> str:
        """The value as it is printed and drawn; a number in its shortest form."""
        if self.number is not None:
            return f"{self.number:.12g}"
        return self.content if isinstance(self.content, str) else self.text

    @property
    def name(self) -> str:
        """The value in the name of a folder."""
        name = re.sub(r"[^\w.+-]+", "_", self.shown)
        if name == self.shown and len(name) <= _MAX_NAME:
            return name
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:8]
        return f"{name[:_MAX_NAME].strip('_')}_{digest}"


@dataclass(frozen=True)
class Swept:
    """What a sweep varies."""

    key: str
    values: tuple[SweptValue, ...]

    @property
    def are_numbers(self) -> bool:
        """Whether the values have an order and distances."""
        is_name = self.key.rpartition(".")[2] in _SEEDS
        return not is_name and all(value.number is not None for value in self.values)

    @property
    def are_positive(self) -> bool:
        """Whether the values have a logarithm."""
        return self.are_numbers and all((value.number or 0.0) > 0 for value in self.values)

    def folder_of(self, value: SweptValue) -> str:
        """The name of the folder of one run, the same whichever other values there are."""
        return f"{self.key.rpartition('.')[2]}_{value.name}"


def parse_sweep(texts: list[str]) -> Swept:
    """The option as it was given, once for each time that it was.

    Raises:
        ConfigError: it is no key with two or more different values, or was given twice.
    """
    if len(texts) > 1:
        raise ConfigError(
            f"{OPTION}: got {len(texts)} of them, allowed: one, as a sweep varies one key; for a "
            "grid, sweep one key for each value of the other, with another --model_dir each"
        )
    (text,) = texts
    key, equals, listed = text.partition("=")
    allowed = "KEY=VALUE,VALUE with two or more values"
    if not equals or not key.strip():
        raise ConfigError(f"{OPTION}: got {text!r}, allowed: {allowed}")
    contents = parse_yaml(f"[{listed}]", f"{OPTION} {text}")
    if not isinstance(contents, list) or len(contents) < 2:
        raise ConfigError(f"{OPTION}: got {text!r}, allowed: {allowed}")
    values = tuple(map(_value, contents))
    shown = [value.shown for value in values]
    if twice := sorted({one for one in shown if shown.count(one) > 1}):
        raise ConfigError(f"{OPTION}: got {', '.join(twice)} twice, allowed: each value once")
    return Swept(key.strip(), values)


def _value(content: Any) -> SweptValue:
    if isinstance(content, str) and _EXPONENT.fullmatch(content):
        content = float(content)
    is_number = isinstance(content, int | float) and not isinstance(content, bool)
    try:
        number = float(content) if is_number else math.nan
    except OverflowError:
        number = math.inf
    return SweptValue(content, number if math.isfinite(number) else None)
