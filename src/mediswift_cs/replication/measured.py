"""What the runs of a replication measured, and the sweep that found a rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediswift_cs.replication.statistics import Estimate, Floats, noise
from mediswift_cs.sweep.vertex import NotBracketed, Vertex, vertex


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The rates that were tried for one arm, and the loss of each (infinite: it diverged)."""

    losses: Mapping[float, float]

    @property
    def found(self) -> Vertex | NotBracketed:
        """The vertex, or what the sweep lacks."""
        return vertex(list(self.losses), list(self.losses.values()))

    @property
    def rate(self) -> float:
        """The best rate: the vertex, else the best one that was tried."""
        found = self.found
        return found.rate if isinstance(found, Vertex) else min(self.losses, key=self.losses.get)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """Plain data; null for the loss of a run that diverged."""
        found = self.found
        return {
            "rate": self.rate,
            "not_bracketed": found.reason if isinstance(found, NotBracketed) else None,
            "losses": [
                [rate, loss if math.isfinite(loss) else None]
                for rate, loss in sorted(self.losses.items())
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that the verdicts read; the names are those of arms.

    Attributes:
        sparsities: of the corrected arms.
        rates: the sweep of each arm; ``tuning_rates`` of each way of fine-tuning.
        bits: held-out bits per byte of each arm, a seed each, on the half that chose no rate.
        clipped: the fraction of updates whose gradient was clipped, of the same runs.
        outputs: for each arm and seed the mean size of the blocks' outputs.
        right: for each way of fine-tuning the right answers, [seeds, documents].
        baseline: the share of documents that always the same answer has right.
        sizes: facts of each arm: weights, flops.
    """

    sparsities: tuple[float, ...]
    rates: Mapping[str, Sweep]
    tuning_rates: Mapping[str, Sweep] = field(default_factory=dict)
    bits: Mapping[str, Sequence[float]]
    clipped: Mapping[str, Sequence[float]] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    right: Mapping[str, Floats] = field(default_factory=dict)
    baseline: float = 0.0
    sizes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def noise(self) -> Estimate:
        """The spread of one pre-training run over seeds."""
        return noise(self.bits)

    def vertex_of(self, arm: str) -> Vertex:
        """The best rate of a bracketed sweep."""
        found = self.rates[arm].found
        assert isinstance(found, Vertex), "asked of bracketed sweeps only"
        return found

    def unbracketed(self, arms: Sequence[str], tuned: Sequence[str] = ()) -> str:
        """What the sweeps of these arms lack; nothing where each has its best rate."""
        sweeps = [(f"pre-training {name}", self.rates[name]) for name in arms if name in self.rates]
        sweeps += [(f"fine-tuning {name}", self.tuning_rates[name]) for name in tuned]
        found = [(name, sweep.found) for name, sweep in sweeps]
        return "; ".join(
            f"{name}: the best rate is not bracketed, {each.reason}"
            for name, each in found
            if isinstance(each, NotBracketed)
        )
