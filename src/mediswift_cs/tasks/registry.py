"""The tasks by name: the one place that knows all of them."""

from collections.abc import Mapping

from mediswift_cs.errors import ConfigError
from mediswift_cs.tasks.artificial import ArtificialQuestions
from mediswift_cs.tasks.classification import (
    MultiLabelClassification,
    SingleLabelClassification,
)
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task

_CLASSES: tuple[type[Task], ...] = (
    PubMedQA,
    ArtificialQuestions,
    HallmarksOfCancer,
    SingleLabelClassification,
    MultiLabelClassification,
)
TASKS: Mapping[str, type[Task]] = {task.name: task for task in _CLASSES}


def find_task(name: str, where: str = "task") -> type[Task]:
    """The class of a task, whose ``from_options`` makes the task of a data set.

    Args:
        where: what gave the name, for the error.

    Raises:
        ConfigError: there is no task of that name.
    """
    if name not in TASKS:
        raise ConfigError(f"{where}: got {name!r}, allowed: {', '.join(TASKS)}")
    return TASKS[name]
