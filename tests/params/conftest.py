"""A params file as plain data, to be broken by the tests."""

from typing import Any

import pytest
import yaml

from mediswift_cs.params.recipes import render_all

RENDERED = render_all()


@pytest.fixture
def tiny() -> dict[str, Any]:
    """mediswift_tiny_75.yaml; its anchor is one mapping, as in a file."""
    return yaml.safe_load(RENDERED["mediswift_tiny_75.yaml"])


@pytest.fixture
def xl() -> dict[str, Any]:
    """mediswift_xl_75.yaml."""
    return yaml.safe_load(RENDERED["mediswift_xl_75.yaml"])
