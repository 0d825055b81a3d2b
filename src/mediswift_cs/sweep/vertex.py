"""The best rate between those that were tried: the vertex of a parabola in log2(rate)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Where a single rate says nothing of the distance between rates.
OCTAVE = 2.0


@dataclass(frozen=True)
class Vertex:
    """The lowest point of the parabola through the lowest loss and its two neighbours.

    Attributes:
        rate: where the parabola is lowest; less than half the way to a neighbour.
        loss: the parabola's value there.
        curvature: loss = ``loss + curvature * log2(x / rate) ** 2``.
        points: rate and loss of the three points that it goes through, by rate.
    """

    rate: float
    loss: float
    curvature: float
    points: tuple[tuple[float, float], ...]

    def loss_at(self, rate: float) -> float:
        """The parabola's value at a rate."""
        return self.loss + self.curvature * math.log2(rate / self.rate) ** 2


@dataclass(frozen=True)
class NotBracketed:
    """The rates that were tried do not enclose the best one.

    Attributes:
        reason: a sentence without its end: "the lowest loss is at the lowest rate, 0.0005".
        add: the rates to try as well, by size.
    """

    reason: str
    add: tuple[float, ...]


def vertex(rates: Sequence[float], losses: Sequence[float]) -> Vertex | NotBracketed:
    """The best rate, from one loss a rate; a loss that is not finite stands for a diverged run.

    The three points that decide are the lowest and its two neighbours, since a loss curve is
    parabolic near its minimum only. Where one of the two was not tried, or diverged, there is no
    parabola; the answer then says which rate to add.
    """
    assert len(rates) == len(losses) > 0, "one loss a rate"
    assert all(0 < rate < math.inf for rate in rates), "a logarithm takes rates above 0"
    assert len(set(rates)) == len(rates), "each rate once"
    points = sorted(zip(rates, losses, strict=True))
    finite = [index for index, (_, loss) in enumerate(points) if math.isfinite(loss)]
    if not finite:
        lowest = points[0][0]
        return NotBracketed("every run diverged", (lowest / _ratio(points, 0, 1),))
    # Of equal losses the one with two neighbours, if there is one.
    best = min(finite, key=lambda index: (points[index][1], len(_open_sides(points, index))))
    if reasons := _open_sides(points, best):
        return NotBracketed(
            " and ".join(reason for reason, _ in reasons), tuple(rate for _, rate in reasons)
        )
    three = tuple(points[best - 1 : best + 2])
    if len({loss for _, loss in three}) == 1:
        ends = points[0][0] / _ratio(points, 0, 1), points[-1][0] * _ratio(points, -1, -2)
        return NotBracketed(f"the losses around {three[1][0]:g} are equal", ends)
    return _parabola(three)


def _open_sides(points: list[tuple[float, float]], best: int) -> list[tuple[str, float]]:
    """Where a point lacks a neighbour: why, and the rate to try there."""
    rate, found = points[best][0], []
    for step, end in ((-1, "lowest"), (1, "highest")):
        neighbour = best + step
        if not 0 <= neighbour < len(points):
            added = rate * _ratio(points, best, best - step) ** step
            found.append((f"the lowest loss is at the {end} rate, {rate:g}", added))
        elif not math.isfinite(points[neighbour][1]):
            beside = points[neighbour][0]
            reason = f"the run beside the lowest loss, at {beside:g}, diverged"
            found.append((reason, math.sqrt(rate * beside)))
    return found


def _ratio(points: list[tuple[float, float]], index: int, other: int) -> float:
    """How many times the larger of two neighbouring rates is the smaller; 2 without a second."""
    if len(points) < 2:
        return OCTAVE
    first, second = points[index][0], points[other][0]
    return max(first, second) / min(first, second)


def _parabola(three: tuple[tuple[float, float], ...]) -> Vertex:
    """The parabola through three points, the middle one not above the others."""
    (left, left_loss), (middle, loss), (right, right_loss) = three
    before, after = math.log2(middle / left), math.log2(right / middle)
    falls, rises = (loss - left_loss) / before, (right_loss - loss) / after
    curvature = (rises - falls) / (before + after)
    slope = (falls * after + rises * before) / (before + after)
    shift = -slope / (2 * curvature)
    return Vertex(
        rate=middle * 2.0**shift,
        loss=loss - curvature * shift**2,
        curvature=curvature,
        points=three,
    )
