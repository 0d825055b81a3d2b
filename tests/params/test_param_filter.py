"""The filter is read as cerebras.pytorch.sparse reads it."""

import pytest
from cerebras.pytorch.utils.utils import convert_glob_to_regex

from mediswift_cs.params.recipes import model_params
from mediswift_cs.params.weights import matching, weights
from mediswift_cs.sizes import SIZES

PATTERNS = [
    "*proj_[qkv]_dense_layer.weight",
    "*proj_output_dense_layer.weight",
    "*linear_layer.weight",
    "*PROJ*",
    "proj*",
    "*layers.[!0]*",
    "*layers.?.ffn*",
    "model.lm_head.weight",
    "*",
    "",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_match_as_in_cerebras_pytorch(pattern: str) -> None:
    known = list(weights(model_params(SIZES["tiny"])))
    regex = convert_glob_to_regex(pattern)
    assert matching(pattern, known) == [w for w in known if regex.match(w.name) is not None]


def test_the_patterns_tell_something() -> None:
    known = list(weights(model_params(SIZES["tiny"])))
    counts = [len(matching(pattern, known)) for pattern in PATTERNS]
    assert counts == [12, 4, 8, 0, 0, 48, 16, 1, len(known), 0]
