"""Estimates against closed forms and scipy, and what a wrong formula would give."""

import math

import numpy as np
import pytest
from scipy import stats

from mediswift_cs.replication.measured import Measured
from mediswift_cs.replication.statistics import (
    Estimate,
    difference,
    holm,
    log2_rate,
    noise,
    paired,
    paired_over_documents,
    slope,
)
from mediswift_cs.replication.verdicts import (
    NOT_SHOWN,
    SIGNIFICANCE,
    Claim,
    Evidence,
    Part,
    judge,
)
from mediswift_cs.sweep.vertex import Vertex, vertex

DIFFERENCES = [0.031, 0.012, 0.027, 0.019]


def test_paired_is_scipys_t_test() -> None:
    first = [1.2, 1.5, 1.4, 1.3]
    second = [a - b for a, b in zip(first, DIFFERENCES, strict=True)]
    theirs = stats.ttest_rel(first, second)
    ours = paired(DIFFERENCES)
    assert 2 * ours.p_above(0) == pytest.approx(theirs.pvalue)
    assert ours.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    # Control: seeds that are not paired give another p-value.
    assert stats.ttest_ind(first, second).pvalue > 10 * theirs.pvalue


def test_two_seeds_have_the_quantile_of_one_degree_of_freedom() -> None:
    low, high = paired([1.0, 3.0]).interval()
    assert (high - low) / 2 == pytest.approx(math.tan(math.pi * 0.475))
    assert paired([1.0, 3.0]).p_above(0) == pytest.approx(0.5 - math.atan(2) / math.pi)


def test_p_values_are_one_sided() -> None:
    estimate = Estimate(1.0, 0.5, 7)
    assert estimate.p_above(0) == pytest.approx(stats.t.sf(2, 7))
    assert estimate.p_below(2) == pytest.approx(stats.t.sf(2, 7))
    assert estimate.p_above(3) == pytest.approx(stats.t.cdf(4, 7))
    assert Estimate(1.0, 0.0, 7).p_above(0) == 0
    assert Estimate(0.0, 0.0, 7).p_above(0) == 1


def test_documents_and_seeds_both_count() -> None:
    numbers = np.random.default_rng(0)
    noisy_seeds = np.repeat([[5.0], [1.0], [3.0]], 400, axis=1)
    noisy_documents = np.repeat(numbers.normal(2, 8, (1, 400)), 3, axis=0)
    by_seed = paired_over_documents(noisy_seeds)
    assert by_seed == paired([5.0, 1.0, 3.0])
    by_document = paired_over_documents(noisy_documents)
    expected = noisy_documents[0].std(ddof=1) / math.sqrt(400)
    assert by_document.error == pytest.approx(expected, rel=0.1)
    assert by_document.freedom == pytest.approx(399)
    both = paired_over_documents(noisy_seeds + noisy_documents)
    assert both.error == pytest.approx(math.hypot(by_seed.error, by_document.error), rel=1e-6)
    assert 2 < both.freedom < 399


def test_noise_is_pooled_over_arms() -> None:
    groups = {"a": [1.0, 3.0], "b": [10.0, 10.0]}
    assert noise(groups) == Estimate(0.0, 1.0, 2)


def test_error_of_a_rate_is_that_of_many_noisy_sweeps() -> None:
    rates = [2.0**-9, 2.0**-8, 2.0**-7, 2.0**-6]
    losses = [3.0 + 0.05 * (math.log2(rate) + 7.6) ** 2 for rate in rates]
    best = vertex(rates, losses)
    assert isinstance(best, Vertex)
    found = log2_rate(best, Estimate(0.0, 0.002, 9))
    assert found.value == pytest.approx(-7.6)
    draw, drawn = np.random.default_rng(1), []
    for _ in range(2000):
        noisy = vertex(rates, [loss + draw.normal(0, 0.002) for loss in losses])
        assert isinstance(noisy, Vertex)
        drawn.append(math.log2(noisy.rate))
    assert found.error == pytest.approx(float(np.std(drawn)), rel=0.1)
    # Control: a flatter parabola places its vertex worse.
    flat = vertex(rates, [3.0 + 0.01 * (math.log2(rate) + 7.6) ** 2 for rate in rates])
    assert isinstance(flat, Vertex)
    assert log2_rate(flat, Estimate(0.0, 0.002, 9)).error > 4 * found.error


def test_difference_of_two_rates() -> None:
    found = difference(Estimate(-7.0, 0.3, 9), Estimate(-8.0, 0.4, 9))
    assert (found.value, found.error) == (1.0, pytest.approx(0.5))


def test_slope() -> None:
    assert slope([0.0, 0.5, 0.75], [1.0, 1.1, 1.15]) == pytest.approx(0.2)


def test_holm() -> None:
    # Holm (1979): 0.01 * 4, max(., 0.02 * 3), max(., 0.03 * 2), max(., 0.9 * 1).
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_verdict_is_that_of_the_two_sided_test(sign: int) -> None:
    """Of one claim with one number: the p-value of scipy's t-test, which has two sides."""
    values = [sign * value for value in (0.2, 0.6, 0.4, 0.05)]
    evidence = Evidence(parts=(Part("it", paired(values), "points", low=0.0),))
    claim = Claim(
        name="C", text="It is above 0.", refuted_if="it is below", evidence=lambda _: evidence
    )
    (verdict,) = judge([claim], Measured(sparsities=(), rates={}, bits={}))
    expected = float(stats.ttest_1samp(values, 0.0).pvalue)
    assert verdict.p_value == pytest.approx(expected, rel=1e-9)
    assert verdict.adjusted == verdict.p_value
    # One side alone would decide.
    assert expected / 2 < SIGNIFICANCE < expected
    assert verdict.verdict == NOT_SHOWN
