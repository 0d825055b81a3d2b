"""``trainer.init.sparsity``: methods with masks that change, their rules, levels and lengths."""

import copy
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import find_params_file, load_params
from mediswift_cs.params.sparsity import SparsityParams

from .conftest import check

Raw = dict[str, Any]
PATH = "trainer.init.sparsity"
COSINE = {"type": "cosine", "init": 0.3, "half_period": 450}
RIGL = {
    "algorithm": "rigl",
    "sparsity": 0.75,
    "drop_fraction": COSINE,
    "update": {"freq": 10, "stop": 450},
}
RAMP = {"type": "cycling", "values": [0.0, 0.5, 0.75]}
GMP = {"algorithm": "gmp", "sparsity": RAMP, "update": {"freq": 100, "stop": 300}}
STATIC = {"sparsity": 0.75}


def lines(raw: Raw) -> list[str]:
    return [problem.line("a.yaml") for problem in check(raw)]


@pytest.mark.parametrize(
    "section",
    [
        RIGL,
        RIGL | {"algorithm": "SET", "drop_fraction": 0.3},
        RIGL | {"update": None, "drop_fraction": None},
        RIGL | {"update": {"steps": [0, 20, 40]}},
        RIGL | {"drop_fraction": {"type": "Exp", "init": 0.3, "gamma": -0.01, "final": 0.0}},
        RIGL | {"balance_in_groups": None},
        GMP,
        GMP | {"update": {"freq": 100, "start": 100, "stop": 301}},
        GMP | {"sparsity": {"type": "cosine", "init": 0, "minimum": 0.75, "half_period": 300}},
        GMP | {"sparsity": {"type": "linear", "init": 0.0, "slope": 0.002}},
        {"algorithm": "gmp", "schedule": RAMP, "update": {"steps": [0, 10, 20]}},
        [RIGL],
    ],
)
def test_modelzoos_keys_are_read(tiny: Raw, section: Any) -> None:
    tiny["trainer"]["init"]["sparsity"] = section
    assert lines(tiny) == []


# The section, the key at fault, what was got, and what is allowed.
REFUSED = [
    (STATIC | {"update": {"freq": 10}}, "update", "freq", "nothing with the algorithm static"),
    (STATIC | {"drop_fraction": 0.3}, "drop_fraction", "0.3", "only set and rigl move weights"),
    ({"sparsity": RAMP}, "sparsity", "type, values", "a number, as masks of static never"),
    (RIGL | {"sparsity": RAMP}, "sparsity", "type", "a number, as rigl keeps"),
    (GMP | {"sparsity": 0.75}, "sparsity", "0.75", "a schedule with a type, as gmp prunes"),
    (GMP | {"drop_fraction": 0.3}, "drop_fraction", "0.3", "nothing with the algorithm gmp"),
    (RIGL | {"drop_fraction": 1.5}, "drop_fraction", "1.5", "at most 1"),
    (RIGL | {"drop_fraction": "much"}, "drop_fraction", "'much'", "a number"),
    (RIGL | {"drop_fraction": COSINE | {"type": "sine"}}, "drop_fraction.type", "'sine'", "cosine"),
    (RIGL | {"drop_fraction": COSINE | {"slope": 1}}, "drop_fraction.slope", "1", "half_period"),
    (RIGL | {"drop_fraction": {"init": 0.3}}, "drop_fraction.type", "nothing", "linear or exp"),
    (
        RIGL | {"drop_fraction": {"type": "cosine", "init": 0.3}},
        *("drop_fraction.half_period", "nothing", "which the type cosine needs"),
    ),
    (
        RIGL | {"drop_fraction": {"type": "cycling", "values": [0.3, 0.1]}},
        *("drop_fraction.type", "cycling", "knows by the step"),
    ),
    (
        RIGL | {"drop_fraction": COSINE | {"init": 2.0}},
        *("drop_fraction", "values from 0 to 2", "at most 1 at each update"),
    ),
    (RIGL | {"update": {"stop": 450}}, "update", "neither freq nor steps", "one of them"),
    (RIGL | {"update": {"freq": 1, "steps": [0]}}, "update", "both freq and steps", "one of"),
    (RIGL | {"update": {"steps": [0, 5], "stop": 9}}, "update.stop", "9", "nothing beside steps"),
    (RIGL | {"update": {"freq": 0}}, "update.freq", "0", "at least 1"),
    (RIGL | {"update": {"freq": 10, "every": 2}}, "update.every", "unknown", "freq, start"),
    (GMP | {"update": {"freq": 5, "start": 9, "stop": 9}}, "update.stop", "9", "more than start"),
    (RIGL | {"update": {"freq": 10, "start": 10}}, "update.start", "10", "0, as the model would"),
    (RIGL | {"update": {"steps": [10, 20]}}, "update.steps", "[10", "[0, 10, 20], as the model"),
    (RIGL | {"update": {"freq": 600}}, "update", "none in 600 steps", "at least one update"),
    (RIGL | {"update": {"freq": 9, "stop": 9}}, "update", "none in 600 steps", "at least one"),
    (GMP | {"update": {"freq": 100, "stop": 400}}, "sparsity.values", "3 values", "4, one for"),
    (GMP | {"update": {"freq": 100}}, "sparsity.values", "3 values", "6, one for each update"),
    (GMP | {"update": {"freq": 100, "stop": 200}}, "sparsity.values", "3 values", "2, one for"),
    (
        GMP | {"sparsity": {"type": "cycling", "values": [0.75, 0.5, 0.0]}},
        *("sparsity", "0 at the last update, step 200", "more zeros than at the first"),
    ),
    (
        GMP | {"sparsity": {"type": "linear", "init": 0.0, "slope": 0.01}},
        *("sparsity", "values from 0 to 2", "at least 0 and less than 1"),
    ),
    (
        GMP | {"sparsity": {"type": "cycling", "values": [0, 2]}},
        "sparsity.values.1",
        "2",
        "at most 1",
    ),
]


@pytest.mark.parametrize(("section", "key", "got", "allowed"), REFUSED)
def test_what_does_not_go_together_is_refused_by_its_key(
    tiny: Raw, section: Raw, key: str, got: str, allowed: str
) -> None:
    tiny["trainer"]["init"]["sparsity"] = copy.deepcopy(section)
    (line,) = lines(tiny)
    assert line.startswith(f"{PATH}.{key}: got ")
    assert got in line
    assert allowed in line


def test_gmp_needs_an_end(tiny: Raw) -> None:
    init = tiny["trainer"]["init"]
    init["sparsity"] = GMP | {"update": {"freq": 100}}
    init["loop"] = {"num_epochs": 3}
    assert any(line.startswith(f"{PATH}.update.stop: got nothing") for line in lines(tiny))
    init["sparsity"] = GMP
    assert not any(PATH in line for line in lines(tiny))


def test_levels_over_a_run() -> None:
    def levels(section: Raw, num_steps: int) -> list[tuple[int, float]]:
        return list(SparsityParams.model_validate(section).levels(num_steps))

    assert levels(STATIC, 600) == [(600, 0.75)]
    assert levels(RIGL, 600) == [(600, 0.75)]
    assert levels(GMP, 600) == [(100, 0.0), (100, 0.5), (400, 0.75)]
    # Masks change after their step: the step of the update itself is of the level before.
    assert levels(GMP, 201) == [(100, 0.0), (100, 0.5), (1, 0.75)]
    late = GMP | {"update": {"freq": 100, "start": 50, "stop": 251}}
    assert levels(late, 600) == [(50, 0.0), (100, 0.0), (100, 0.5), (350, 0.75)]


def test_levels_are_those_of_cerebras_pytorch() -> None:
    utils = pytest.importorskip("cerebras.pytorch.sparse.utils")
    for schedule in (
        {"type": "cosine", "init": 0.0, "minimum": 0.75, "half_period": 300.0},
        {"type": "exp", "init": 0.0, "final": 0.75, "gamma": -0.01},
        {"type": "linear", "init": 0.1, "slope": 0.001},
        {"type": "power", "init": 0.1, "beta": 1.005},
    ):
        theirs = utils.make_hyperparam_schedule(schedule)
        section = {"algorithm": "gmp", "sparsity": schedule, "update": {"freq": 100, "stop": 301}}
        ours = SparsityParams.model_validate(section)
        for step in (0, 100, 200, 300):
            assert ours.level_after(step) == pytest.approx(float(theirs(step)), abs=1e-6)
        assert ours.level_after(100) != pytest.approx(float(theirs(101)), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "num_steps", "freq", "stop"),
    [
        ("mediswift_tiny_75_rigl.yaml", 60, 1, 45),
        ("mediswift_tiny_75_set.yaml", 20, 1, 15),
        ("mediswift_xl_75_rigl.yaml", 100_000, 50, 75_000),
        ("mediswift_tiny_75_gmp.yaml", 60, 1, 31),
        ("mediswift_tiny_75_gmp.yaml", 1200, 30, 901),
    ],
)
def test_a_shorter_or_longer_run_takes_its_updates_along(
    name: str, num_steps: int, freq: int, stop: int
) -> None:
    loaded = load_params(name, [f"trainer.init.loop.max_steps={num_steps}"], check_data="none")
    sparsity = loaded.params.trainer.init.sparsity
    assert sparsity is not None
    assert sparsity.update is not None
    assert (sparsity.update.freq, sparsity.update.stop) == (freq, stop)
    assert sparsity.level_after(num_steps) == 0.75
    (note,) = [note for note in loaded.notes if note.startswith(f"{PATH} was rescaled")]
    assert f" -> {stop:g}" in note
    # One's own values are left alone, and then have to fit.
    own = [f"trainer.init.loop.max_steps={num_steps}", f"{PATH}.update.stop={stop}"]
    if name.endswith("gmp.yaml"):
        with pytest.raises(ConfigError, match=r"sparsity\.values: got 31 values"):
            load_params(name, own, check_data="none")


def test_numbers_written_as_text_are_stretched_too(tmp_path: Path) -> None:
    text = find_params_file("mediswift_tiny_75_rigl.yaml").read_text()
    file = tmp_path / "my.yaml"
    # YAML 1.1 reads this as text.
    file.write_text(text.replace("half_period: 450", "half_period: 45e1"))
    loaded = load_params(file, ["trainer.init.loop.max_steps=60"], check_data="none")
    assert loaded.raw["trainer"]["init"]["sparsity"]["drop_fraction"]["half_period"] == 45


def test_a_run_too_short_for_the_ramp_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sparsity\.values: got 31 values, allowed: 20"):
        load_params("mediswift_xl_75_gmp", ["trainer.init.loop.max_steps=20"], check_data="none")
