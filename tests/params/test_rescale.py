"""max_steps on the command line takes the schedules along."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import LoadedParams, find_params_file, load_params
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


@pytest.mark.parametrize(
    ("name", "max_steps", "warmup_steps"),
    [
        ("mediswift_tiny_artificial", 2, 1),
        ("mediswift_tiny_artificial", 6, 1),
        ("mediswift_tiny_pubmedqa", 6, 1),
        ("mediswift_tiny_hoc", 6, 1),
        ("mediswift_tiny_artificial", 50, 5),
        ("mediswift_tiny_artificial", 20_000, 2000),
    ],
)
def test_a_part_without_an_end_keeps_its_shape(
    name: str, max_steps: int, warmup_steps: int
) -> None:
    name = f"finetuning/{name}"
    before = load(name=name)
    old_warmup = lengths(before)[0]
    loaded = load(f"trainer.init.loop.max_steps={max_steps}", name=name)
    assert lengths(loaded) == [warmup_steps, None]
    sequence = loaded.params.trainer.init.schedulers[0].SequentialLR
    assert sequence is not None
    decay = sequence.schedulers[1].InverseSquareRootDecayLR
    assert decay is not None
    assert decay.warmup_steps == warmup_steps
    # The rate where the warm-up ends is still the peak.
    assert decay.scale == pytest.approx(math.sqrt(warmup_steps))
    (note,) = loaded.notes
    assert f"LinearLR {old_warmup} -> {warmup_steps}" in note
    assert f"InverseSquareRootDecayLR warmup_steps {old_warmup} -> {warmup_steps}" in note


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            {"InverseSquareRootDecayLR": {"warmup_steps": 60, "scale": 4.0}},
            {"InverseSquareRootDecayLR": {"warmup_steps": 15, "scale": 2.0}},
        ),
        # Rounded it would be the whole run.
        (
            {"InverseSquareRootDecayLR": {"warmup_steps": 599, "scale": 0.0}},
            {"InverseSquareRootDecayLR": {"warmup_steps": 149, "scale": 0.0}},
        ),
        (
            {"inversesquarerootdecaylr": {"scale": 4.0, "warmup_steps": 2}},
            {"inversesquarerootdecaylr": {"scale": 4.0 * math.sqrt(0.5), "warmup_steps": 1}},
        ),
        ({"ConstantLR": {"learning_rate": 0.1}}, {"ConstantLR": {"learning_rate": 0.1}}),
    ],
)
def test_a_schedule_without_an_end(
    tiny: dict[str, Any], tmp_path: Path, schedule: dict[str, Any], expected: dict[str, Any]
) -> None:
    tiny["trainer"]["init"]["schedulers"] = [schedule]
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(tiny))
    loaded = load_params(path, ["trainer.init.loop.max_steps=150"], check_data="none")
    (found,) = loaded.raw["trainer"]["init"]["schedulers"]
    assert found == expected
    assert len(loaded.notes) == (schedule != expected)


def test_arguments_that_are_left_out_are_rescaled(tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny["trainer"]["init"]["schedulers"] = [{"InverseSquareRootDecayLR": None}]
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(tiny))
    loaded = load_params(path, ["trainer.init.loop.max_steps=2400"], check_data="none")
    (found,) = loaded.raw["trainer"]["init"]["schedulers"]
    assert found == {"InverseSquareRootDecayLR": {"warmup_steps": 4, "scale": 2.0}}


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


def test_cycles_keep_their_number(tmp_path: Path) -> None:
    """Six cycles of 100 steps are six of 10; one without `cycle` does not fit and stays."""
    rates = {"initial_learning_rate": 0.1, "end_learning_rate": 0.0}
    document = yaml.safe_load(find_params_file("mediswift_tiny_75").read_text())
    cycle = {"LinearLR": {**rates, "total_iters": 100, "cycle": True}}
    document["trainer"]["init"]["schedulers"] = [cycle]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(document))
    overrides = ["trainer.init.loop.max_steps=60"]
    loaded = load_params(file, overrides, check_data="none")
    assert loaded.params.trainer.init.schedulers[0].total_iters == 10
    assert "LinearLR 100 -> 10" in loaded.notes[0]
    cycle["LinearLR"]["cycle"] = False
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match="got 100 steps in all, allowed: 60"):
        load_params(file, overrides, check_data="none")
