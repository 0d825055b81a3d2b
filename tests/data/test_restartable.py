"""The position of a loader, as its workers and its checkpoints tell it."""

import itertools
from types import SimpleNamespace
from typing import Any

import cerebras.pytorch as cstorch
import pytest
from torch.utils.data import Dataset

from mediswift_cs.data.cluster import ClusterDataLoader
from mediswift_cs.data.order import SampleOrder
from mediswift_cs.data.restartable import position
from mediswift_cs.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("cpu_backend")


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> int:
        return index


def make_loader(**settings: Any) -> ClusterDataLoader:
    given = {"shuffle": True, "seed": 5, "drop_last": True, "batch_size": 4, **settings}
    return ClusterDataLoader(Numbers(), identity={"num_samples": 20}, **given)


def samples(loader: ClusterDataLoader) -> list[int]:
    return [int(sample) for batch in loader for sample in batch]


def test_the_position_counts_the_samples_before_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped twice: what was streamed before the last start counts as well."""
    whole = samples(make_loader())
    loader = make_loader()
    loader.load_state_dict(position(loader.identity, 8))
    states = []
    for streamed in (4, 0):  # of two workers, one batch since the start
        worker = SimpleNamespace(samples_streamed=streamed)
        monkeypatch.setattr(cstorch.distributed, "get_worker_state", lambda found=worker: found)
        states.append(loader.state_dict())
    found = loader.aggregate_state_dict(states)
    assert found == position(loader.identity, 12)
    again = make_loader()
    again.load_state_dict(again.deaggregate_state_dict(found))
    assert samples(again) == whole[12:]


def test_a_position_of_other_data_is_refused() -> None:
    loader = make_loader()
    other = position({"num_samples": 21}, 8)
    with pytest.raises(CheckpointError, match="num_samples was 21 when the checkpoint was saved"):
        loader.load_state_dict(other)
    loader.load_state_dict(other, strict=False)
    assert len(samples(loader)) == 12
    with pytest.raises(CheckpointError, match="has no samples_streamed"):
        loader.load_state_dict({"dataset": {}})
    for streamed in ("abc", [8], True, -1, 8.0):
        with pytest.raises(CheckpointError, match=r"samples_streamed in .*allowed: a whole number"):
            loader.load_state_dict({"samples_streamed": streamed})
    bad: Any
    for bad in (3, "abc", ["samples_streamed"], {"samples_streamed": 8, "dataset": 3}):
        with pytest.raises(CheckpointError, match="allowed: a mapping"):
            loader.load_state_dict(bad)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("batch_size", "drop_last"), [(4, True), (6, True), (6, False), (32, True)]
)
def test_the_order_is_that_of_cerebras_pytorch(
    shuffle: bool, batch_size: int, drop_last: bool
) -> None:
    """From every sample on, over three epochs, across their ends.

    Not from the last batch of an epoch of short batches: cerebras-pytorch leaves that one out.
    """
    settings: dict[str, Any] = {"shuffle": shuffle, "batch_size": batch_size, "seed": 5}
    for start in range(25):
        theirs = cstorch.utils.data.DistributedSampler(
            Numbers(), drop_last=drop_last, start_index=start, **settings
        )
        ours = SampleOrder(20, drop_last=drop_last, **settings)
        ours.set_state(start)
        has_whole_batch = 20 - start % 20 >= batch_size
        if not drop_last and not has_whole_batch:
            continue
        assert not has_whole_batch or len(ours) == len(theirs), start
        expected = [batch for _ in range(4) for batch in theirs]
        found = itertools.chain.from_iterable(itertools.repeat(ours))
        assert list(itertools.islice(found, len(expected))) == expected, start
        assert expected


def test_other_seeds_give_other_orders_and_rows_are_of_each_batch() -> None:
    def samples_of(order: SampleOrder) -> list[int]:
        return [sample for batch in itertools.islice(order, 5) for sample in batch]

    settings: dict[str, Any] = {"batch_size": 4, "drop_last": True}
    whole = samples_of(SampleOrder(20, shuffle=True, seed=5, **settings))
    assert sorted(whole) == list(range(20))
    assert samples_of(SampleOrder(20, shuffle=True, seed=6, **settings)) != whole
    order = SampleOrder(20, shuffle=True, seed=5, **settings)
    order.rows = slice(1, 3)
    assert samples_of(order) == [
        s for start in range(0, 20, 4) for s in whole[start + 1 : start + 3]
    ]
