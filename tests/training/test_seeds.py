"""What `seed` and `shuffle_seed` move, each alone: docs/params.md says it, on both hosts."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.cerebras.session import Session
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.hosts.torch.session import TorchSession

pytestmark = pytest.mark.usefixtures("cpu_backend")

Raw = dict[str, Any]
NUM_UPDATES = 15  # more than the 12 of an epoch


def make_torch(params: Params) -> Host:
    return TorchSession(params, "CPU", for_training=True)


def make_cerebras(params: Params) -> Host:
    return Session(params, for_training=True)


def drawn(
    raw: Raw, make_host: Callable[[Params], Host], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Tensor]]:
    """What a training run draws: weights, masks, what dropout takes out, the order of samples."""
    params = Params(**raw)
    host = make_host(params)
    host.draw_masks()
    state = copy.deepcopy(host.model.state_dict())
    found: dict[str, list[Tensor]] = {
        "weights": [value for name, value in state.items() if value.ndim == 2],
        # What is pruned is zero; the toy's weights have no other zeros.
        "masks": [value == 0 for name, value in state.items() if ".layers." in name],
        "dropout": [],
        "order": [],
    }
    original = functional.dropout

    def record(values: Tensor, *arguments: Any, **named: Any) -> Tensor:
        result = original(values, *arguments, **named)
        found["dropout"].append(((result == 0) & (values != 0)).detach().clone())
        return result

    assert params.trainer.fit is not None
    loader = host.make_dataloader(params.trainer.fit.train_dataloader)
    host.model.train()
    with monkeypatch.context() as patched:
        patched.setattr(functional, "dropout", record)
        for batches in host.updates(loader, NUM_UPDATES, []):
            found["order"] += [batch["input_ids"].clone() for batch in batches]
            host.update(batches)
    return found


def different(first: dict[str, list[Tensor]], second: dict[str, list[Tensor]]) -> set[str]:
    assert all(first.values()), "each is drawn"
    return {
        name
        for name in first
        if not all(torch.equal(a, b) for a, b in zip(first[name], second[name], strict=True))
    }


@pytest.fixture
def raw(toy_raw: Raw) -> Raw:
    toy_raw["trainer"]["init"]["model"] |= {"embedding_dropout_rate": 0.5, "dropout_rate": 0.5}
    return toy_raw


@pytest.mark.parametrize("make_host", [make_torch, make_cerebras])
@pytest.mark.parametrize(
    ("seed", "shuffle_seed", "moved"),
    [
        (2, 3, {"weights", "masks", "dropout"}),
        (1, 4, {"order"}),
        (1, 3, set()),
        (2, 4, {"weights", "masks", "dropout", "order"}),
    ],
)
def test_each_moves_its_own(
    raw: Raw,
    make_host: Callable[[Params], Host],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    shuffle_seed: int,
    moved: set[str],
) -> None:
    first = drawn(raw, make_host, monkeypatch)
    changed = copy.deepcopy(raw)
    changed["trainer"]["init"]["seed"] = seed
    changed["trainer"]["fit"]["train_dataloader"]["shuffle_seed"] = shuffle_seed
    assert different(first, drawn(changed, make_host, monkeypatch)) == moved


def test_the_seed_draws_a_soft_prompt(raw: Raw) -> None:
    """Its vectors are what fine-tuning draws where the weights are a checkpoint's."""
    del raw["trainer"]["init"]["sparsity"]
    raw["trainer"]["init"]["model"] |= {
        "name": "mediswift_finetuning",
        "soft_prompt": {"num_virtual_tokens": 3},
    }

    def prompt(raw: Raw) -> list[Tensor]:
        model = make_torch(Params(**raw)).model
        found = [value for name, value in model.state_dict().items() if "prompt" in name]
        assert found
        return found

    first = prompt(raw)
    raw["trainer"]["fit"]["train_dataloader"]["shuffle_seed"] = 4
    assert all(map(torch.equal, first, prompt(raw)))
    raw["trainer"]["init"]["seed"] = 2
    assert not any(map(torch.equal, first, prompt(raw)))


def test_without_shuffling_the_order_is_the_shards(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = raw["trainer"]["fit"]["train_dataloader"]
    loader["shuffle"] = False
    first = drawn(raw, make_torch, monkeypatch)
    loader["shuffle_seed"] = 4
    assert different(first, drawn(raw, make_torch, monkeypatch)) == set()
