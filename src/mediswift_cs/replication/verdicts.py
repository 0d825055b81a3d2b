"""From the numbers of a claim to its verdict: held, refuted or not shown."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mediswift_cs.replication.measured import Measured
from mediswift_cs.replication.statistics import Estimate, holm

HELD, REFUTED, NOT_SHOWN = "held", "refuted", "not shown"
SIGNIFICANCE = 0.05

OCTAVES, POINTS, BITS, RATIO = "octaves", "points", "bits per byte", "ratio"


class Part(NamedTuple):
    """One measured number of a claim, which says that the number lies between two bounds.

    The numbers of a ratio are its logarithms to base 2.
    """

    what: str
    estimate: Estimate
    unit: str
    low: float = -math.inf
    high: float = math.inf

    def p_inside(self) -> float:
        """Evidence for the claim: both one-sided tests have to reject."""
        return max(self.estimate.p_above(self.low), self.estimate.p_below(self.high))

    def p_outside(self) -> float:
        """Evidence against it: one of the one-sided tests rejects."""
        num_bounds = math.isfinite(self.low) + math.isfinite(self.high)
        smaller = min(self.estimate.p_below(self.low), self.estimate.p_above(self.high))
        return min(1.0, num_bounds * smaller)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ratios as such; null for a side on which anything is claimed."""
        interval, bounds = self.estimate.interval(), (self.low, self.high)
        return {
            "what": self.what,
            "unit": self.unit,
            "value": self._shown(self.estimate.value),
            "interval_95": [self._shown(end) for end in interval],
            "claimed_between": [None if math.isinf(b) else self._shown(b) for b in bounds],
        }

    def _shown(self, number: float) -> float:
        # An interval of two seeds may reach where no float does.
        return 2.0 ** min(number, 1000.0) if self.unit == RATIO else number


class Evidence(NamedTuple):
    """The measurements that a claim is judged by.

    Attributes:
        parts: each must hold, and none may be refuted.
        beside: what is worth knowing and decides nothing.
        missing: why the claim cannot be judged; empty where it can.
    """

    parts: Sequence[Part] = ()
    beside: Sequence[Part] = ()
    missing: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper, and what would refute it.

    Attributes:
        refuted_if: in words.
        evidence: from what was measured.
    """

    name: str
    text: str
    refuted_if: str
    evidence: Callable[[Measured], Evidence] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the measurements say of one claim.

    Attributes:
        p_value: two-sided, of the claim alone; ``adjusted`` after Holm over all claims.
    """

    claim: Claim
    evidence: Evidence
    verdict: str
    p_value: float
    adjusted: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``claims.json``."""
        return {
            "claim": self.claim.name,
            "text": self.claim.text,
            "refuted_if": self.claim.refuted_if,
            "verdict": self.verdict,
            "p_value": self.p_value,
            "p_value_holm": self.adjusted,
            "missing": self.evidence.missing,
            "parts": [part.as_dict() for part in self.evidence.parts],
            "beside": [part.as_dict() for part in self.evidence.beside],
            "notes": list(self.evidence.notes),
        }


def judge(claims: Sequence[Claim], measured: Measured) -> list[Verdict]:
    """Judge each claim by what was measured.

    A claim is held where all its numbers lie, beyond doubt, where it says, and refuted where one
    beyond doubt does not: p-values of both sides, Holm's correction over the claims.
    """
    found = [claim.evidence(measured) for claim in claims]
    sides = [_p_values(evidence.parts) for evidence in found]
    p_values = [min(1.0, 2 * min(side)) for side in sides]
    verdicts = []
    for claim, evidence, (p_held, p_refuted), p_value, adjusted in zip(
        claims, found, sides, p_values, holm(p_values), strict=True
    ):
        side = HELD if p_held < p_refuted else REFUTED
        verdict = side if adjusted < SIGNIFICANCE else NOT_SHOWN
        verdicts.append(
            Verdict(
                claim=claim, evidence=evidence, verdict=verdict, p_value=p_value, adjusted=adjusted
            )
        )
    return verdicts


def _p_values(parts: Sequence[Part]) -> tuple[float, float]:
    """For a claim and against it; the first needs every part, the second any (Bonferroni)."""
    if not parts:
        return 1.0, 1.0
    against = len(parts) * min(part.p_outside() for part in parts)
    return max(part.p_inside() for part in parts), min(1.0, against)
