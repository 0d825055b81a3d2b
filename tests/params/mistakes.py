"""Mistakes in a params file: one key set or left out, and the one problem that is reported."""

import copy
from typing import Any

from mediswift_cs.params.problem import Problem

from .conftest import check

Raw = dict[str, Any]


def put(raw: Raw, path: str, value: Any) -> Raw:
    """A copy with one value set; the copy keeps what the anchors share."""
    changed = copy.deepcopy(raw)
    node: Any = changed
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    node[int(last) if isinstance(node, list) else last] = value
    return changed


def drop(raw: Raw, path: str) -> Raw:
    changed = copy.deepcopy(raw)
    node: Any = changed
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    del node[last]
    return changed


def the_problem(raw: Raw) -> Problem:
    (problem,) = check(raw)
    return problem


INIT = "trainer.init"
MODEL = f"{INIT}.model"
PARTS = f"{INIT}.schedulers.0.SequentialLR.schedulers"
FILTER = f"{INIT}.sparsity.param_filter"
TRAIN = "trainer.fit.train_dataloader"

COSINE = {"initial_learning_rate": 1.0e-3, "end_learning_rate": 0.0}
