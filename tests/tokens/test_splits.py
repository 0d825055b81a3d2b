from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.tokens.splits import check_val_fraction, split_of

IDS = [f"pubmed:{n}" for n in range(20_000)]


def val_ids(fraction: Any) -> Any:
    return {id_ for id_ in IDS if split_of(id_, fraction) == "val"}


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.5])
def test_the_share_is_the_one_asked_for(fraction: Any) -> None:
    # Five standard deviations of a binomial draw.
    tolerance = 5 * (fraction * (1 - fraction) / len(IDS)) ** 0.5
    assert abs(len(val_ids(fraction)) / len(IDS) - fraction) < tolerance


def test_a_larger_share_keeps_the_smaller_one() -> None:
    assert val_ids(0.01) < val_ids(0.05) < val_ids(0.5)
    assert val_ids(0) == set()


def test_the_split_never_changes() -> None:
    """Known values (of `b2sum -l 64`): another hash would move documents of existing data."""
    assert sorted(val_ids(0.0003), key=IDS.index) == [
        "pubmed:5708",
        "pubmed:5822",
        "pubmed:9119",
        "pubmed:10751",
        "pubmed:11179",
        "pubmed:15965",
        "pubmed:17682",
        "pubmed:19790",
    ]


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_fractions_out_of_range(fraction: Any) -> None:
    with pytest.raises(ConfigError, match=r"got .*, allowed: 0 or more, below 1"):
        check_val_fraction(fraction)
