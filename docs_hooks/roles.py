"""A griffe extension: docstrings name functions as Sphinx does, and the site is Markdown."""

import re
from typing import Any

import griffe

# :func:`mediswift_cs.params.load.load_params` -> `load_params`
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`~?(?:[\w.]+\.)?(\w+)`")


def without_roles(text: str) -> str:
    """A docstring with names in the place of Sphinx's roles."""
    return ROLE.sub(r"`\1`", text)


class Roles(griffe.Extension):
    """Takes the roles out of every docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each object once it is read."""
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)
