"""max_steps on the command line takes the schedules along."""

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import LoadedParams, load_params
from mediswift_cs.params.rescale import shares

LAST = "trainer.init.schedulers.0.SequentialLR.schedulers.1.CosineDecayLR.total_iters"


def load(*overrides: str, name: str = "mediswift_tiny_75") -> LoadedParams:
    return load_params(name, overrides, check_data="none")


def lengths(loaded: LoadedParams) -> list[int | None]:
    sequence = loaded.params.trainer.init.schedulers[0].SequentialLR
    assert sequence is not None
    return [part.total_iters for part in sequence.schedulers]


@pytest.mark.parametrize(
    ("name", "max_steps", "expected"),
    [
        ("mediswift_tiny_75", 20, [2, 18]),
        ("mediswift_tiny_75", 800, [80, 720]),
        ("mediswift_tiny_75", 2, [1, 1]),
        ("mediswift_xl_75", 20, [1, 19]),
        ("mediswift_xl_75", 20_000, [72, 19_928]),
    ],
)
def test_schedules_keep_their_shape(name: str, max_steps: int, expected: list[int]) -> None:
    before = load(name=name)
    loaded = load(f"trainer.init.loop.max_steps={max_steps}", name=name)
    assert lengths(loaded) == expected
    assert sum(expected) == max_steps != sum(n for n in lengths(before) if n)
    (note,) = loaded.notes
    old = before.params.trainer.init.loop.max_steps
    assert f"from {old} to {max_steps} steps" in note
    assert f"CosineDecayLR {lengths(before)[1]} -> {expected[1]}" in note


def test_the_same_number_changes_nothing() -> None:
    loaded = load("trainer.init.loop.max_steps=600")
    assert loaded.notes == ()
    assert lengths(loaded) == [60, 540]


def test_a_schedule_of_the_users_own_is_left_alone() -> None:
    loaded = load("trainer.init.loop.max_steps=100", f"{LAST}=40")
    assert loaded.notes == ()
    assert lengths(loaded) == [60, 40]
    with pytest.raises(ConfigError, match="got 101 steps in all, allowed: 100"):
        load("trainer.init.loop.max_steps=100", f"{LAST}=41")


def test_too_short_a_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="a warm-up of 60 steps, allowed: fewer than the 1"):
        load("trainer.init.loop.max_steps=1")


def test_a_wrong_number_is_reported_as_such() -> None:
    for value in ("many", "0", "1.5", "true"):
        with pytest.raises(ConfigError, match=r"loop\.max_steps: got .*, allowed: a whole number"):
            load(f"trainer.init.loop.max_steps={value}")


def test_milestones_follow() -> None:
    milestones = "trainer.init.schedulers.0.SequentialLR.milestones"
    # Set by the user together with max_steps: then the schedule is the user's own.
    with pytest.raises(ConfigError, match="got 600 steps in all"):
        load("trainer.init.loop.max_steps=100", f"{milestones}=[60]")


@pytest.mark.parametrize("total", [3, 4, 7, 100, 999])
def test_shares_add_up(total: int) -> None:
    for parts in ([1, 1, 1], [1, 1000, 1], [1000, 1, 1], [5, 3, 2]):
        scaled = shares(parts, total)
        assert sum(scaled) == total
        assert min(scaled) >= 1
    assert shares([50, 30, 20], 10) == [5, 3, 2]
