"""A params file as plain data, to be broken by the tests."""

from typing import Any

import pytest
import yaml

from mediswift_cs.params.load import examine
from mediswift_cs.params.problem import Problem
from mediswift_cs.params.recipes import render_all

RENDERED = render_all()


def check(raw: Any) -> list[Problem]:
    """Every problem of a parsed document, its data folders left out."""
    return examine(raw)[1]


@pytest.fixture
def tiny() -> dict[str, Any]:
    """mediswift_tiny_75.yaml; its anchor is one mapping, as in a file."""
    return yaml.safe_load(RENDERED["mediswift_tiny_75.yaml"])


@pytest.fixture
def xl() -> dict[str, Any]:
    """mediswift_xl_75.yaml."""
    return yaml.safe_load(RENDERED["mediswift_xl_75.yaml"])
