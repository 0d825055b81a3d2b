import dataclasses

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.flops import shape_of_size
from mediswift_cs.sizes import (
    RECIPE,
    SIZES,
    SPARSITY_LEVELS,
    TINY_SOURCE,
    Mark,
    ModelSize,
)

# "up to 104.86e9 tokens".
NUM_TOKENS_QUOTED = 104_857_600_000

# 12 * layers * width**2: the sizes that the paper states, 302M, 510M and 1.21B.
PROJECTION_WEIGHTS = {"med": 301_989_888, "large": 509_607_936, "xl": 1_207_959_552}


def broken(size: ModelSize, **changes: object) -> ModelSize:
    return dataclasses.replace(size, **changes)  # type: ignore[arg-type]


def num_projection_weights(size: ModelSize) -> int:
    """Weights of the sparse matrices: four of attention and two of feed-forward a layer."""
    shape = shape_of_size(size)
    return shape.num_projection_weights + shape.num_feed_forward_weights


@pytest.mark.parametrize("name", PROJECTION_WEIGHTS)
def test_sizes_are_the_stated_ones(name: str) -> None:
    size = SIZES[name]
    assert num_projection_weights(size) == PROJECTION_WEIGHTS[name]
    one_layer_less = broken(size, num_hidden_layers=size.num_hidden_layers - 1)
    assert num_projection_weights(one_layer_less) != PROJECTION_WEIGHTS[name]


@pytest.mark.parametrize("name", PROJECTION_WEIGHTS)
def test_a_run_trains_on_the_quoted_tokens(name: str) -> None:
    assert SIZES[name].num_tokens == NUM_TOKENS_QUOTED
    assert broken(SIZES[name], batch_size=255).num_tokens != NUM_TOKENS_QUOTED


def test_output_std_follows_the_depth() -> None:
    # A public XL configuration types 0.0025, the value of 32 layers.
    assert SIZES["xl"].output_std == pytest.approx(0.0028867513, abs=1e-9)
    assert SIZES["large"].output_std == pytest.approx(0.02 / 6, abs=1e-12)
    assert broken(SIZES["xl"], num_hidden_layers=32).output_std == pytest.approx(0.0025)


def test_sparsity_is_the_fraction_of_zeros() -> None:
    assert SPARSITY_LEVELS == {"dense": 0.0, "50": 0.5, "75": 0.75}


def test_learning_rates() -> None:
    ends = {name: size.end_learning_rate for name, size in SIZES.items()}
    assert ends == {"tiny": 2e-4, "med": 3e-5, "large": 2e-5, "xl": 2e-5}


@pytest.mark.parametrize("name", SIZES)
def test_every_number_has_a_source(name: str) -> None:
    size = SIZES[name]
    numbers = {f.name for f in dataclasses.fields(size)} - {"name", "is_published"}
    assert set(size.sources) == numbers
    assert all(source.why for source in size.sources.values())
    assert {f.name for f in dataclasses.fields(RECIPE)} == set(RECIPE.sources)


def test_tiny_is_ours_alone() -> None:
    assert set(SIZES["tiny"].sources.values()) == {TINY_SOURCE}
    assert {source.mark for source in SIZES["xl"].sources.values()} == {
        Mark.INFERRED,
        Mark.DEFAULT,
    }


def test_a_row_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_heads of size xl: got 7, allowed: a divisor"):
        broken(SIZES["xl"], num_heads=7)
    with pytest.raises(ConfigError, match="warmup_steps of size xl: got 200000, allowed"):
        broken(SIZES["xl"], warmup_steps=200_000)
