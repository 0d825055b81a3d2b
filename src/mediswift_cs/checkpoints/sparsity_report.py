"""The fraction of zeros of each converted weight, layer by layer."""

from collections.abc import Iterable
from dataclasses import dataclass

from mediswift_cs.checkpoints.blocks import PartReport
from mediswift_cs.checkpoints.names import LAYERS

COLUMNS = ("q", "k", "v", "output", "ffn.0", "ffn.1")


@dataclass(frozen=True, kw_only=True)
class SparsityReport:
    """Zeros and elements of each linear weight, by layer and by the titles in COLUMNS."""

    layers: dict[int, dict[str, PartReport]]

    @property
    def num_zeros(self) -> int:
        """Zeros of all linear weights."""
        return sum(report.num_zeros or 0 for report in self._reports())

    @property
    def num_weights(self) -> int:
        """Elements of all linear weights."""
        return sum(report.num_elements for report in self._reports())

    @property
    def sparsity(self) -> float:
        """The fraction of zeros."""
        return self.num_zeros / self.num_weights

    def _reports(self) -> Iterable[PartReport]:
        return (report for layer in self.layers.values() for report in layer.values())

    def rows(self) -> list[list[str]]:
        """One row of text cells a layer: its index and the fraction of each weight."""
        return [
            [str(index), *(f"{_fraction(layer[title]):.4f}" for title in COLUMNS)]
            for index, layer in sorted(self.layers.items())
        ]

    def to_text(self) -> str:
        """A table, and the total."""
        lines = ["layer " + " ".join(f"{title:>8}" for title in COLUMNS)]
        lines += [
            f"{row[0]:>5} " + " ".join(f"{cell:>8}" for cell in row[1:]) for row in self.rows()
        ]
        lines.append(
            f"total {self.num_zeros:,} zeros of {self.num_weights:,} = {self.sparsity:.6f}"
        )
        return "\n".join(lines)


def sparsity_report(reports: Iterable[PartReport]) -> SparsityReport:
    """Sort the reports of a conversion's linear weights by layer."""
    layers: dict[int, dict[str, PartReport]] = {}
    for report in reports:
        if report.num_zeros is None or not report.name.startswith(f"{LAYERS}."):
            continue
        index, _, rest = report.name.removeprefix(f"{LAYERS}.").partition(".")
        layers.setdefault(int(index), {})[_title(rest)] = report
    return SparsityReport(layers=layers)


def _fraction(report: PartReport) -> float:
    return (report.num_zeros or 0) / report.num_elements


def _title(rest: str) -> str:
    """``self_attn.proj_q_dense_layer.weight`` -> ``q``; ``ffn.ffn.0...`` -> ``ffn.0``."""
    if ".proj_" in rest:
        return rest.partition(".proj_")[2].partition("_dense_layer")[0]
    return "ffn." + rest.split(".")[2]
