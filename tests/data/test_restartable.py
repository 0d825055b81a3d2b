"""The position of a loader, as its workers and its checkpoints tell it."""

from types import SimpleNamespace
from typing import Any

import cerebras.pytorch as cstorch
import pytest
from torch.utils.data import Dataset

from mediswift_cs.data.restartable import RestartableDataLoader
from mediswift_cs.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("cpu_backend")


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> int:
        return index


def make_loader(**settings: Any) -> RestartableDataLoader:
    given = {"shuffle": True, "shuffle_seed": 5, "drop_last": True, "batch_size": 4, **settings}
    return RestartableDataLoader(Numbers(), identity={"num_samples": 20}, **given)


def samples(loader: RestartableDataLoader) -> list[int]:
    return [int(sample) for batch in loader for sample in batch]


def test_the_position_counts_the_samples_before_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped twice: what was streamed before the last start counts as well."""
    whole = samples(make_loader())
    loader = make_loader()
    loader.load_state_dict(loader.position(8))
    states = []
    for streamed in (4, 0):  # of two workers, one batch since the start
        worker = SimpleNamespace(samples_streamed=streamed)
        monkeypatch.setattr(cstorch.distributed, "get_worker_state", lambda found=worker: found)
        states.append(loader.state_dict())
    position = loader.aggregate_state_dict(states)
    assert position == loader.position(12)
    again = make_loader()
    again.load_state_dict(again.deaggregate_state_dict(position))
    assert samples(again) == whole[12:]


def test_a_position_of_other_data_is_refused() -> None:
    loader = make_loader()
    position = {**loader.position(8), "dataset": {"num_samples": 21}}
    with pytest.raises(CheckpointError, match="num_samples was 21 when the checkpoint was saved"):
        loader.load_state_dict(position)
    loader.load_state_dict(position, strict=False)
    assert len(samples(loader)) == 12
    with pytest.raises(CheckpointError, match="has no samples_streamed"):
        loader.load_state_dict({"dataset": {}})


def test_other_seeds_give_other_orders_and_rows_are_of_each_batch() -> None:
    whole = samples(make_loader())
    assert sorted(whole) == list(range(20))
    assert samples(make_loader(shuffle_seed=6)) != whole
    assert samples(make_loader(shuffle=False)) == list(range(20))
    loader = make_loader()
    loader.take_rows(1, 3)
    assert samples(loader) == [s for start in range(0, 20, 4) for s in whole[start + 1 : start + 3]]
