"""One mistake in a params file, and the sentence that reports it."""

import reprlib
from dataclasses import dataclass

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


def spell(value: object) -> str:
    """A value as YAML would show it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"a mapping with the keys {', '.join(map(str, value))}" if value else "{}"
    # reprlib stays short however large or deep the value is.
    return _SHORT.repr(value)
