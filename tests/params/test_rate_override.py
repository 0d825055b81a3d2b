"""The optimizer's learning_rate on the command line scales the schedules, or is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import LoadedParams, find_params_file, load_params

INIT = "trainer.init"
RATE = f"{INIT}.optimizer.AdamW.learning_rate"
MAX_STEPS = f"{INIT}.loop.max_steps"
PARTS = f"{INIT}.schedulers.0.SequentialLR.schedulers"
WARM_UP_END = f"{PARTS}.0.LinearLR.end_learning_rate"
DECAY_BEGIN = f"{PARTS}.1.CosineDecayLR.initial_learning_rate"
DECAY_END = f"{PARTS}.1.CosineDecayLR.end_learning_rate"


def load(*overrides: str, name: str | Path = "mediswift_tiny_75") -> LoadedParams:
    return load_params(name, overrides, check_data="none")


def error_of(*overrides: str, name: str | Path = "mediswift_tiny_75") -> str:
    with pytest.raises(ConfigError) as error:
        load(*overrides, name=name)
    return str(error.value)


def schedule(begin: float, peak: float, end: float, steps: tuple[int, int] = (60, 540)) -> Any:
    rates = {"initial_learning_rate": begin, "end_learning_rate": peak}
    decay = {"initial_learning_rate": peak, "end_learning_rate": end}
    warm_up = {"LinearLR": {**rates, "total_iters": steps[0]}}
    return [
        {
            "SequentialLR": {
                "schedulers": [warm_up, {"CosineDecayLR": {**decay, "total_iters": steps[1]}}]
            }
        }
    ]


def schedulers(loaded: LoadedParams) -> Any:
    return loaded.raw["trainer"]["init"]["schedulers"]


def scaled(tiny: dict[str, Any], tmp_path: Path, entries: Any, *overrides: str) -> Any:
    """What becomes of the schedules of a file."""
    tiny["trainer"]["init"]["schedulers"] = entries
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny))
    return schedulers(load(*overrides, name=path))


def test_the_peak_is_the_rate_and_the_others_keep_their_ratio() -> None:
    # The file has 0, 0.002 and 0.0002.
    loaded = load(f"{RATE}=1e-3")
    assert schedulers(loaded) == schedule(0.0, 0.001, 0.0001)
    # One place for the rate, as in the file.
    assert loaded.params.trainer.init.optimizer is not None
    assert loaded.params.trainer.init.optimizer.AdamW.learning_rate is None
    (note,) = loaded.notes
    assert note.startswith("learning rate: peak 0.002 -> 0.001, end 0.0002 -> 0.0001 (")
    assert "trainer.init.schedulers.0 was scaled" in note


@pytest.mark.parametrize("reverse", [False, True])
def test_with_max_steps_it_is_stretched_too(reverse: bool) -> None:
    overrides = [f"{RATE}=4e-3", f"{MAX_STEPS}=20"]
    loaded = load(*(reversed(overrides) if reverse else overrides))
    assert schedulers(loaded) == schedule(0.0, 0.004, 0.0004, (2, 18))
    assert [note.split()[0] for note in loaded.notes] == ["learning", "trainer.init.schedulers.0"]


@pytest.mark.parametrize(
    "override",
    [
        f"{INIT}.optimizer.adamw.learning_rate=1e-3",
        f"{INIT}.optimizer.AdamW={{learning_rate: 1e-3, betas: [0.9, 0.95]}}",
        f"{INIT}.optimizer={{adamw: {{lr: 1e-3}}}}",
    ],
)
def test_however_it_is_written(override: str) -> None:
    assert schedulers(load(override)) == schedule(0.0, 0.001, 0.0001)


def test_a_class_that_the_file_spells_otherwise_is_the_same(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    init = tiny["trainer"]["init"]
    init["optimizer"] = {"adamw": {"lr": 0.5}}
    found = scaled(tiny, tmp_path, schedule(0.1, 0.2, 0.02), f"{RATE}=0.4")
    assert found == schedule(0.2, 0.4, 0.04)
    # Without a schedule it is the rate, in the place of the one that the file calls lr.
    init["schedulers"] = []
    path = tmp_path / "constant.yaml"
    path.write_text(yaml.safe_dump(tiny))
    assert load(f"{RATE}=0.4", name=path).raw["trainer"]["init"]["optimizer"] == {
        "adamw": {"lr": 0.4}
    }


def test_the_same_peak_changes_nothing() -> None:
    loaded = load(f"{RATE}=0.002")
    assert loaded.notes == ()
    assert loaded.raw == load().raw


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"ConstantLR": {"learning_rate": 0.1}}, {"ConstantLR": {"learning_rate": 0.5}}),
        (
            {"InverseSquareRootDecayLR": {"warmup_steps": 4, "scale": 2.0}},
            {
                "InverseSquareRootDecayLR": {
                    "initial_learning_rate": 0.5,
                    "warmup_steps": 4,
                    "scale": 2.0,
                }
            },
        ),
        (
            {"InverseSquareRootDecayLR": None},
            {"InverseSquareRootDecayLR": {"initial_learning_rate": 0.5}},
        ),
        # A rate that rises, in another spelling of the class.
        (
            {"linearlr": {"initial_learning_rate": 1, "end_learning_rate": 2, "total_iters": 600}},
            {
                "linearlr": {
                    "initial_learning_rate": 0.25,
                    "end_learning_rate": 0.5,
                    "total_iters": 600,
                }
            },
        ),
    ],
)
def test_a_schedule_of_one_part(
    tiny: dict[str, Any], tmp_path: Path, entry: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert scaled(tiny, tmp_path, [entry], f"{RATE}=0.5") == [expected]


def test_each_of_several_schedules_has_the_peak(tiny: dict[str, Any], tmp_path: Path) -> None:
    entries = [{"ConstantLR": {"learning_rate": 0.1}}, *schedule(0.0, 0.4, 0.1)]
    expected = [{"ConstantLR": {"learning_rate": 0.2}}, *schedule(0.0, 0.2, 0.05)]
    assert scaled(tiny, tmp_path, entries, f"{RATE}=0.2") == expected


def test_a_list_says_exactly_what_is_to_be_there() -> None:
    """A constant rate, for one: with ConstantLR, or without a schedule."""
    constant = load(f"{INIT}.schedulers=[{{ConstantLR: {{learning_rate: 1.0e-3}}}}]")
    assert schedulers(constant) == [{"ConstantLR": {"learning_rate": 0.001}}]
    assert constant.notes == ()
    none = load(f"{INIT}.schedulers=[]", f"{RATE}=1.0e-3")
    assert schedulers(none) == []
    assert none.raw["trainer"]["init"]["optimizer"]["AdamW"]["learning_rate"] == 0.001
    assert none.notes == ()
    # Parts that do not meet are the user's own as well, and so are lengths.
    jump = schedule(0.0, 0.004, 0.0001)
    jump[0]["SequentialLR"]["schedulers"][1]["CosineDecayLR"]["initial_learning_rate"] = 0.001
    whole = f"{INIT}.schedulers={yaml.safe_dump(jump, default_flow_style=True)}"
    assert schedulers(load(whole)) == jump
    assert "600 steps in all" in error_of(whole, f"{MAX_STEPS}=100")


def test_a_rate_within_the_schedule_is_as_given() -> None:
    loaded = load(f"{DECAY_END}=0.0", f"{RATE}=1e-3", f"{MAX_STEPS}=30")
    assert schedulers(loaded) == schedule(0.0, 0.001, 0.0, (3, 27))
    assert "end 0.0002 -> 0 (" in loaded.notes[0]
    # The long way to another peak.
    long = load(f"{WARM_UP_END}=0.001", f"{DECAY_BEGIN}=0.001", f"{DECAY_END}=0.0001")
    assert schedulers(long) == schedulers(load(f"{RATE}=1e-3"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([f"{WARM_UP_END}=0.001"], f"{PARTS}.1: got a first rate of 0.002, allowed: 0.001, the l"),
        ([f"{DECAY_BEGIN}=0.001"], f"{PARTS}.1: got a first rate of 0.001, allowed: 0.002"),
        (
            [f"{RATE}=0.004", f"{INIT}.schedulers=[{{ConstantLR: {{learning_rate: 0.003}}}}]"],
            f"{RATE}: got 0.004, allowed: 0.003, the highest rate of {INIT}.schedulers.0 with",
        ),
        (
            [f"{RATE}=0.004", f"{WARM_UP_END}=0.003", f"{DECAY_BEGIN}=0.003"],
            f"{RATE}: got 0.004, allowed: 0.003",
        ),
        ([f"{RATE}=fast"], f"{RATE}: got 'fast', allowed: a number, at least 0 or null"),
        ([f"{RATE}=true"], f"{RATE}: got true, allowed: a number"),
        ([f"{RATE}=-1"], f"{RATE}: got -1, allowed: a number, at least 0 or null"),
        ([f"{RATE}=[1]"], f"{RATE}: got [1], allowed: a number"),
        ([f"{RATE}=1", f"{INIT}.schedulers.0=7"], f"{INIT}.schedulers.0: got 7, allowed: a map"),
        ([f"{RATE}=1", f"{INIT}.schedulers=7"], f"{INIT}.schedulers: got 7, allowed: a list"),
        ([f"{RATE}=1", f"{INIT}.optimizer=7"], f"{INIT}.optimizer: got 7, allowed: a mapping"),
        ([f"{INIT}.loop.num_epochs=2"], f"{INIT}.loop.num_epochs: got 2, allowed: max_steps"),
        (
            [f"{INIT}.loop={{num_epochs: 2, steps_per_epoch: 30}}"],
            f"{INIT}.loop.num_epochs: got 2, allowed: max_steps",
        ),
    ],
)
def test_what_contradicts_is_refused_by_key(overrides: list[str], message: str) -> None:
    error = error_of(*overrides)
    assert error.startswith(message)
    assert "\n" not in error


def test_another_warm_up_of_an_inverse_square_root_is_no_jump_or_refused() -> None:
    name = "finetuning/mediswift_tiny_classification"
    root = f"{PARTS}.1.InverseSquareRootDecayLR"
    error = error_of(f"{root}.warmup_steps=80", name=name)
    assert "got a first rate of 0.00025, allowed: 0.0005" in error
    assert load(f"{root}.warmup_steps=80", f"{root}.scale={80**0.5}", name=name).notes == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"ConstantLR": {"learning_rate": 0.0}}, "got 0.5, allowed: 0, the highest rate of"),
        (
            {
                "PolynomialLR": {
                    "initial_learning_rate": 1.0,
                    "end_learning_rate": 0.0,
                    "total_iters": 600,
                    "power": -1.0,
                }
            },
            "got 0.5, allowed: nothing, as trainer.init.schedulers.0 has no highest rate",
        ),
        ({"SequentialLR": {"schedulers": schedule(0.0, 1.0, 0.1)}}, "got a SequentialLR"),
    ],
)
def test_a_schedule_that_has_no_peak(
    tiny: dict[str, Any], tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        scaled(tiny, tmp_path, [entry], f"{RATE}=0.5")
    assert message in str(error.value)
    assert "unknown" not in str(error.value)


def test_of_a_nested_schedule_the_nesting_is_told_and_nothing_else(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    entry = {"SequentialLR": {"schedulers": schedule(0.0, 1.0, 0.1)}}
    for override in (f"{MAX_STEPS}=100", f"{RATE}=0.5"):
        with pytest.raises(ConfigError) as error:
            scaled(tiny, tmp_path, [entry], override)
        assert len(str(error.value).splitlines()) == 1
        assert "got a SequentialLR, allowed: a schedule of one part" in str(error.value)


def test_epochs_with_a_length_or_without_an_end_of_the_schedule() -> None:
    both = load(f"{INIT}.loop.num_epochs=2", f"{MAX_STEPS}=100")
    assert schedulers(both) == schedule(0.0, 0.002, 0.0002, (10, 90))
    load(f"{INIT}.loop.num_epochs=2", f"{INIT}.schedulers=[{{ConstantLR: {{learning_rate: 1}}}}]")
    load(f"{INIT}.loop.num_epochs=2", name="finetuning/mediswift_tiny_classification")


def test_a_run_of_epochs_that_gets_a_length(tiny: dict[str, Any], tmp_path: Path) -> None:
    """The schedule says how long it was meant to be."""
    tiny["trainer"]["init"]["loop"] = {"num_epochs": 3}
    entries = schedule(0.0, 0.2, 0.1, (10, 40))
    found = scaled(tiny, tmp_path, entries, f"{MAX_STEPS}=100")
    assert found == schedule(0.0, 0.2, 0.1, (20, 80))


def test_max_steps_within_a_mapping_rescales_too() -> None:
    assert schedulers(load(f"{INIT}.loop={{max_steps: 20}}")) == schedulers(load(f"{MAX_STEPS}=20"))


def test_parts_that_are_one_anchor_have_lengths_and_rates_of_their_own(tmp_path: Path) -> None:
    """As YAML has them: 300 + 300 steps become 12 + 13, and not 13 twice."""
    text = find_params_file("mediswift_tiny_75").read_text()
    begin, end = text.index("    schedulers:"), text.index("    precision:")
    half = "{ConstantLR: {learning_rate: 0.002, total_iters: 300}}"
    both = f"    schedulers:\n    - SequentialLR: {{schedulers: [&half {half}, *half]}}\n"
    path = tmp_path / "mine.yaml"
    path.write_text(text[:begin] + both + text[end:])
    (entry,) = schedulers(load(f"{MAX_STEPS}=25", f"{RATE}=0.004", name=path))
    parts = [part["ConstantLR"] for part in entry["SequentialLR"]["schedulers"]]
    assert [part["total_iters"] for part in parts] == [12, 13]
    assert [part["learning_rate"] for part in parts] == [0.004, 0.004]
