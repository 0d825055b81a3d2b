"""Losses of cerebras-pytorch 2.10, written down, for environments that do not have it."""

from typing import Any

import pytest

from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.torch.session import TorchSession

# The toy run of tests/conftest.py on the host cerebras, CPU, torch 2.4.0.
STEPS = (*range(8), 29, 99, 199)
DENSE = [
    4.1740742,
    4.1648703,
    4.1021929,
    3.9982378,
    3.8372097,
    3.6605678,
    3.5121439,
    3.3775849,
    2.5668147,
    1.2334561,
    0.2826239,
]
SPARSE = [
    4.1702104,
    4.1627903,
    4.1205273,
    4.0462394,
    3.8859625,
    3.7104521,
    3.5219913,
    3.4032493,
    2.6300602,
    1.3784368,
    0.4699282,
]


@pytest.mark.parametrize(("is_sparse", "expected"), [(False, DENSE), (True, SPARSE)])
def test_losses_are_those_of_cerebras_pytorch(
    toy_raw: dict[str, Any], is_sparse: bool, expected: list[float]
) -> None:
    """With any torch: seeds mean the same weights, masks and order of samples."""
    if not is_sparse:
        del toy_raw["trainer"]["init"]["sparsity"]
    params = Params(**toy_raw)
    host = TorchSession(params, "CPU", for_training=True)
    host.draw_masks()
    host.model.train()
    assert params.trainer.fit is not None
    loader = host.make_dataloader(params.trainer.fit.train_dataloader)
    found = [float(host.update(batches).loss) for batches in host.updates(loader, 200, [])]
    assert [found[step] for step in STEPS[:9]] == pytest.approx(expected[:9], abs=1e-6)
    assert [found[step] for step in STEPS] == pytest.approx(expected, abs=1e-5)
    # Control: the other run is another one.
    assert abs(found[29] - (DENSE if is_sparse else SPARSE)[8]) > 1e-3
