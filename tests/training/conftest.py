"""A training run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]


@pytest.fixture(scope="session")
def make_trainer() -> MakeTrainer:
    """A trainer of raw params in a model_dir, on the host torch and the CPU."""

    def make(raw: dict[str, Any], model_dir: Path) -> Trainer:
        params = Params(**raw)
        model_dir.mkdir(exist_ok=True)
        return Trainer(params, model_dir, raw, TorchSession(params, "CPU", for_training=True))

    return make
