"""Each claim as held, refuted and not shown, from numbers of our own making."""

import json
import math
from dataclasses import replace

import pytest

from mediswift_cs.replication import scales
from mediswift_cs.replication.claims import (
    CLAIMS,
    worth_of_a_weight,
)
from mediswift_cs.replication.measured import Measured
from mediswift_cs.replication.verdicts import HELD, NOT_SHOWN, REFUTED, Verdict
from mediswift_cs.replication.verdicts import judge as judge_claims

from .measurements import (
    DENSE,
    HALF,
    SHORT,
    SMALL,
    SPARSE,
    STANDARD,
    all_held,
    answers,
    bits,
    open_sweep,
    outputs,
    sweep,
)

TUNED = scales.TUNED_SPARSE.name
LOST = answers(0.80)[:, ::-1].copy()

# Claim -> what to change for it to be refuted, and for it not to be shown: field, name, value.
REFUTING = {
    "C1": ("rates", STANDARD, sweep(-7.4)),
    "C2": ("rates", HALF, sweep(-6.5)),
    "C3": ("outputs", STANDARD, outputs(0.9)),
    "C4": ("right", TUNED, answers(0.75)),
    "C5": ("bits", SMALL, bits(1.92)),
    "C6": ("right", scales.TUNED_MASKED.name, answers(0.85)),
    "C7": ("bits", SPARSE, bits(1.80)),
    "C8": ("right", scales.TUNED_SCRATCH.name, answers(0.85)),
    "C9": ("right", scales.TUNED_PROMPT.name, answers(0.75)),
}
UNDECIDED = {
    "C1": ("rates", STANDARD, sweep(-7.0)),
    "C2": ("rates", SPARSE, sweep(-7.0)),
    "C3": ("outputs", SPARSE, outputs(1.4)),
    "C4": ("right", TUNED, answers(0.78)),
    "C5": ("bits", SMALL, bits(1.95, 0.01)),
    "C6": ("right", scales.TUNED_MASKED.name, LOST),
    "C7": ("bits", SPARSE, [1.90, 1.97, 1.80, 1.99]),
    "C8": ("right", scales.TUNED_SCRATCH.name, LOST),
    "C9": ("right", scales.TUNED_PROMPT.name, LOST),
}
# Claim -> the sweep that it needs.
NEEDED = {
    "C1": ("rates", STANDARD),
    "C2": ("rates", SPARSE),
    "C4": ("tuning_rates", TUNED),
    "C5": ("rates", SHORT),
    "C6": ("tuning_rates", scales.TUNED_MASKED.name),
    "C7": ("rates", HALF),
    "C8": ("rates", DENSE),
    "C9": ("tuning_rates", scales.TUNED_PROMPT.name),
}
NAMES = [claim.name for claim in CLAIMS]


def judge(measured: Measured) -> list[Verdict]:
    return judge_claims(CLAIMS, measured)


def verdicts(measured: Measured) -> dict[str, str]:
    return {verdict.claim.name: verdict.verdict for verdict in judge(measured)}


def with_change(field: str, name: str, value: object) -> Measured:
    measured = all_held()
    return replace(measured, **{field: {**getattr(measured, field), name: value}})


def test_all_nine_are_held() -> None:
    assert verdicts(all_held()) == dict.fromkeys((f"C{number}" for number in range(1, 10)), HELD)


@pytest.mark.parametrize("name", NAMES)
def test_refuted(name: str) -> None:
    assert verdicts(with_change(*REFUTING[name]))[name] == REFUTED


@pytest.mark.parametrize("name", NAMES)
def test_not_shown(name: str) -> None:
    assert verdicts(with_change(*UNDECIDED[name]))[name] == NOT_SHOWN


@pytest.mark.parametrize("name", NEEDED)
def test_not_shown_where_a_rate_is_not_bracketed(name: str) -> None:
    found = {v.claim.name: v for v in judge(with_change(*NEEDED[name], open_sweep()))}
    assert found[name].verdict == NOT_SHOWN
    assert "not bracketed, the lowest loss is at the highest value" in found[name].evidence.missing


@pytest.mark.parametrize(("small", "short"), [(1.99, 1.92), (1.92, 2.05)])
def test_equal_flops_needs_both_controls(small: float, short: float) -> None:
    measured = all_held()
    changed = replace(measured, bits={**measured.bits, SMALL: bits(small), SHORT: bits(short)})
    assert verdicts(changed)["C5"] == REFUTED


def test_corrected_activations_outside_their_band_refute() -> None:
    for size in (0.5, 1.8):
        assert verdicts(with_change("outputs", SPARSE, outputs(size)))["C3"] == REFUTED


def test_answers_no_better_than_a_constant_show_nothing() -> None:
    measured = replace(all_held(), baseline=0.95)
    found = {verdict.claim.name: verdict for verdict in judge(measured)}
    for name in ("C4", "C6", "C8", "C9"):
        assert found[name].verdict == NOT_SHOWN
        assert found[name].evidence.missing == "neither is better than always the same answer"


def test_holm_takes_back_what_one_test_alone_would_show() -> None:
    found = judge(all_held())
    assert all(verdict.adjusted >= verdict.p_value for verdict in found)
    # Only C6 is in doubt: p of about 0.03 is significant alone, and not as one of nine.
    weak = with_change(
        "bits",
        SHORT,
        [b + d for b, d in zip(all_held().bits[SPARSE], (0.010, 0.030, 0.012, 0.031), strict=True)],
    )
    others = {**weak.rates, HALF: open_sweep(), STANDARD: open_sweep()}
    tuned = dict.fromkeys(weak.tuning_rates, open_sweep())
    (c5,) = [
        v for v in judge(replace(weak, rates=others, tuning_rates=tuned)) if v.claim.name == "C5"
    ]
    assert c5.p_value < 0.05 < c5.adjusted
    assert c5.verdict == NOT_SHOWN


def test_worth_of_a_weight_is_read_off_the_line() -> None:
    measured = all_held()
    weights = {name: measured.sizes[name]["weights"] for name in (DENSE, SPARSE, SMALL)}
    # A loss half-way between the two dense ones is that of the geometric mean of their weights.
    exact = {DENSE: [1.9, 1.91], SMALL: [2.0, 2.01], SPARSE: [1.95, 1.96]}
    (part,), note = worth_of_a_weight(replace(measured, bits=exact))
    expected = math.sqrt(weights[DENSE] * weights[SMALL]) / weights[SPARSE]
    assert part.as_dict()["value"] == pytest.approx(expected)
    assert "m* = 1.69" in note
    assert "between" in note
    # As good as the small one: m is m*.
    (part,), _ = worth_of_a_weight(replace(measured, bits={**exact, SPARSE: [2.0, 2.01]}))
    assert part.as_dict()["value"] == pytest.approx(weights[SMALL] / weights[SPARSE])
    # Control: without an advantage of size there is no line to read it off.
    parts, note = worth_of_a_weight(replace(measured, bits={**exact, DENSE: [2.0, 2.02]}))
    assert not parts
    assert "not estimated" in note


def test_a_planted_error_flips_verdicts() -> None:
    """The sparse arm at eight times its best rate: its losses are those of its own parabola."""
    measured = all_held()
    best = measured.vertex_of(SPARSE)
    added = best.loss_at(8 * best.rate) - best.loss
    assert added > 0
    wrong = [loss + added for loss in measured.bits[SPARSE]]
    found = verdicts(replace(measured, bits={**measured.bits, SPARSE: wrong}))
    assert found.pop("C5") == REFUTED
    # Control: what does not read these losses is as it was.
    assert set(found.values()) == {HELD}


def test_verdicts_are_json() -> None:
    content = json.loads(json.dumps([v.as_dict() for v in judge(all_held())], allow_nan=False))
    (c3,) = [claim for claim in content if claim["claim"] == "C3"]
    assert c3["parts"][0]["claimed_between"] == [None, 0.5]
    assert c3["parts"][0]["value"] == pytest.approx(0.13, rel=0.05)
