"""The vertex: exact on parabolas, and never given where the rates do not enclose the minimum."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediswift_cs.sweep.vertex import NotBracketed, Vertex, vertex

OCTAVES = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3]


def parabola(rate: float, best: float, loss: float = 5.0, curvature: float = 0.1) -> float:
    return loss + curvature * math.log2(rate / best) ** 2


@given(
    best=st.floats(math.log2(3e-4), math.log2(3.5e-3)).map(lambda x: 2**x),
    loss=st.floats(0.5, 12),
    curvature=st.floats(1e-3, 10),
    between=st.floats(1.1, 4.0),
)
def test_of_a_parabola_it_is_exact(
    best: float, loss: float, curvature: float, between: float
) -> None:
    rates = [best * between**place for place in (-2.4, -1.3, 0.2, 1.1, 1.9)]
    random.Random(0).shuffle(rates)
    found = vertex(rates, [parabola(rate, best, loss, curvature) for rate in rates])
    assert isinstance(found, Vertex)
    assert math.log2(found.rate / best) == pytest.approx(0, abs=1e-6)
    assert found.loss == pytest.approx(loss, abs=1e-9)
    assert found.curvature == pytest.approx(curvature, rel=1e-6)
    assert found.loss_at(4 * best) == pytest.approx(loss + 4 * curvature, rel=1e-5)
    # Control: it moves with the minimum, and is none of the rates that were tried.
    moved = vertex(rates, [parabola(rate, best * 1.05, loss, curvature) for rate in rates])
    assert isinstance(moved, Vertex)
    assert moved.rate / found.rate == pytest.approx(1.05, rel=1e-6)
    assert found.rate not in rates


@given(
    losses=st.lists(
        st.one_of(st.floats(1, 12), st.just(math.inf), st.just(math.nan)), min_size=1, max_size=7
    ),
    steps=st.lists(st.floats(0.2, 3), min_size=7, max_size=7),
)
def test_whatever_the_losses(losses: list[float], steps: list[float]) -> None:
    rates = [1e-5 * 2 ** sum(steps[:place]) for place in range(len(losses))]
    found = vertex(rates, losses)
    if isinstance(found, Vertex):
        (left, a), (middle, b), (right, c) = found.points
        assert b <= min(a, c)
        assert b == min(loss for loss in losses if math.isfinite(loss))
        assert math.sqrt(left * middle) * 0.999 <= found.rate <= math.sqrt(middle * right) * 1.001
        assert found.loss <= b + 1e-9
        for rate, loss in found.points:
            assert found.loss_at(rate) == pytest.approx(loss, rel=1e-6)
    else:
        assert found.add
        assert list(found.add) == sorted(found.add)
        assert not set(found.add) & set(rates)
        assert all(0 < rate < math.inf for rate in found.add)


def test_points_far_from_the_minimum_do_not_move_it() -> None:
    losses = [parabola(rate, 1.1e-3) for rate in OCTAVES]
    found, bent = vertex(OCTAVES, losses), vertex(OCTAVES, [*losses[:-1], 9.0])
    assert isinstance(found, Vertex)
    assert found == bent
    # Control: its neighbours do.
    assert vertex(OCTAVES, [*losses[:3], losses[3] + 0.01, losses[4]]) != found


@pytest.mark.parametrize(
    ("losses", "reason", "add"),
    [
        ([3, 4, 5, 6, 7], "the lowest loss is at the lowest value, 0.00025", [1.25e-4]),
        ([7, 6, 5, 4, 3], "the lowest loss is at the highest value, 0.004", [8e-3]),
        ([5, 4, 3, math.nan, math.nan], "at 0.002, diverged", [1e-3 * math.sqrt(2)]),
        ([math.inf, 3, 4, 5, 6], "at 0.00025, diverged", [2.5e-4 * math.sqrt(2)]),
        ([math.nan, 3, math.inf, 5, 2.9], "at the highest value", [math.sqrt(8) * 1e-3, 8e-3][1:]),
        ([math.nan] * 5, "every run diverged", [1.25e-4]),
        ([4, 4, 4, 4, 4], "the losses around 0.0005 are equal", [1.25e-4, 8e-3]),
    ],
)
def test_not_bracketed(losses: list[float], reason: str, add: list[float]) -> None:
    found = vertex(OCTAVES, losses)
    assert isinstance(found, NotBracketed)
    assert reason in found.reason
    assert found.add == pytest.approx(tuple(add))


def test_a_rate_that_is_added_as_asked_brackets_it() -> None:
    rates = [1e-3, 2e-3]
    for _ in range(8):
        found = vertex(rates, [parabola(rate, 1.2e-4) for rate in rates])
        if isinstance(found, Vertex):
            break
        rates += found.add
    assert isinstance(found, Vertex)
    assert found.rate == pytest.approx(1.2e-4)


def test_few_rates() -> None:
    one = vertex([1e-3], [4.0])
    assert isinstance(one, NotBracketed)
    assert one.add == (5e-4, 2e-3)
    two = vertex([1e-3, 4e-3], [4.0, 3.0])
    assert isinstance(two, NotBracketed)
    assert two.add == (1.6e-2,)


def test_of_equal_losses_the_one_between_two_others_counts() -> None:
    forward, backward = vertex([1, 2, 4], [3, 3, 5]), vertex([1, 2, 4], [5, 3, 3])
    assert isinstance(forward, Vertex)
    assert isinstance(backward, Vertex)
    assert forward.rate == pytest.approx(math.sqrt(2))
    assert backward.rate == pytest.approx(math.sqrt(8))


@pytest.mark.parametrize(
    ("rates", "losses"),
    [([], []), ([1e-3], []), ([0.0, 1e-3], [1, 2]), ([-1.0], [1]), ([1e-3, 1e-3], [1, 2])],
)
def test_what_is_no_sweep_is_a_mistake(rates: list[float], losses: list[float]) -> None:
    with pytest.raises(AssertionError):
        vertex(rates, losses)
