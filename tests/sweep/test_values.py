"""The values of --sweep: numbers in any spelling, and whatever else YAML has."""

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.sweep.values import parse_sweep

KEY = "trainer.init.optimizer.AdamW.learning_rate"


def test_numbers_in_every_spelling() -> None:
    swept = parse_sweep([f"{KEY}=1e-3, 2.0e-3,4,.5"])
    assert swept.key == KEY
    assert [value.number for value in swept.values] == [0.001, 0.002, 4, 0.5]
    assert [value.content for value in swept.values] == [0.001, 0.002, 4, 0.5]
    names = [swept.folder_of(value) for value in swept.values]
    assert names == [f"learning_rate_{text}" for text in ("0.001", "0.002", "4", "0.5")]
    assert swept.are_positive


@pytest.mark.parametrize(
    ("text", "are_numbers", "are_positive"),
    [
        ("a.sparsity=0,0.5", True, False),
        ("a.b=-1,1", True, False),
        ("a.seed=1,2,3", False, False),
        ("a.shuffle_seed=1,2,3", False, False),
        ("a.b=true,false", False, False),
        ("a.b=null,1", False, False),
        ("a.b=random,topk", False, False),
        ("a.b=[1, 2],[2, 3]", False, False),
        ("a.b=.inf,1", False, False),
        # In quotes it is text: the name of a folder, say.
        ("a.b='2020','2021'", False, False),
    ],
)
def test_what_has_an_order_and_what_a_logarithm(
    text: str, are_numbers: bool, are_positive: bool
) -> None:
    swept = parse_sweep([text])
    assert (swept.are_numbers, swept.are_positive) == (are_numbers, are_positive)


def test_mappings_have_commas_of_their_own() -> None:
    schedule = "{LinearLR: {initial_learning_rate: 1, end_learning_rate: 0, total_iters: 3}}"
    swept = parse_sweep([f"trainer.init.schedulers=[{{ConstantLR: null}}],[{schedule}]"])
    assert [next(iter(value.content[0])) for value in swept.values] == ["ConstantLR", "LinearLR"]
    names = [swept.folder_of(value) for value in swept.values]
    assert len(set(names)) == 2
    assert all(len(name) < 70 and "/" not in name for name in names)


def test_a_folder_is_the_same_whichever_other_values_there_are() -> None:
    first, second = parse_sweep(["a.b=x/y,z"]), parse_sweep(["a.b=w,1,x/y"])
    assert first.folder_of(first.values[0]) == second.folder_of(second.values[2])
    # Values that make the same name have folders of their own.
    alike = parse_sweep(["a.b=x/y,x:y,x_y"])
    assert len({alike.folder_of(value) for value in alike.values}) == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a.b"], "got 'a.b', allowed: KEY=VALUE,VALUE"),
        (["=1,2"], "got '=1,2', allowed: KEY"),
        (["a.b="], "with two or more values"),
        (["a.b=1"], "with two or more values"),
        (["a.b=1,1.0"], "got 1 twice, allowed: each value once"),
        (["a.b=1e-3,0.001,2"], "got 0.001 twice"),
        (["a.b=x,y,x"], "got x twice"),
        (["a.b=[1"], "is not plain YAML"),
        (["a.b=1,2", "a.c=1,2"], "got 2 of them, allowed: one, as a sweep varies one key"),
    ],
)
def test_what_is_no_sweep_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_sweep(texts)
    assert str(error.value).startswith("--sweep")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
