"""The fraction of zeros of each linear weight, layer by layer: of a model, or in a checkpoint."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediswift_cs.checkpoints import lz4_chunks, number_formats
from mediswift_cs.checkpoints.blocks import PartReport, row_slices
from mediswift_cs.checkpoints.mdl import MdlFile, StoredTensor
from mediswift_cs.checkpoints.names import LAYERS
from mediswift_cs.progress import progress

COLUMNS = ("q", "k", "v", "output", "ffn.0", "ffn.1")
# The linear weights of a layer; the group that is there gives the title in COLUMNS.
_LINEAR_WEIGHT = re.compile(
    rf"(?:model\.)?{re.escape(LAYERS)}"
    r"\.(?P<layer>\d{1,6})\."
    r"(?:self_attn\.proj_(?P<projection>q|k|v|output)_dense_layer"
    r"|ffn\.(?P<inner>ffn\.[01])\.linear_layer)\.weight"
)


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

    def fractions(self) -> list[tuple[int, list[float]]]:
        """Each layer's index and the fraction of zeros of its weights; NaN for one it lacks."""
        return [
            (index, [_fraction(layer.get(title)) for title in COLUMNS])
            for index, layer in sorted(self.layers.items())
        ]

    def rows(self) -> list[list[str]]:
        """One row of text cells a layer: its index and the fraction of each weight."""
        return [[str(index), *(f"{n:.4f}" for n in row)] for index, row in self.fractions()]

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
    """Sort the reports of linear weights by layer; those of other tensors are left out."""
    layers: dict[int, dict[str, PartReport]] = {}
    for report in reports:
        place = _place(report.name)
        if report.num_zeros is not None and place is not None:
            layers.setdefault(place[0], {})[place[1]] = report
    return SparsityReport(layers=layers)


def count_zeros(file: MdlFile) -> SparsityReport:
    """Count the zeros of a checkpoint's linear weights, a few megabytes at a time."""
    matrices = [
        (name, tensor)
        for name, tensor in file.tensors.items()
        if len(tensor.shape) == 2 and _place(name) is not None
    ]
    return sparsity_report(
        PartReport(
            name=name,
            num_elements=tensor.num_elements,
            num_zeros=tensor.num_elements
            - sum(int(np.count_nonzero(rows)) for rows in _nonzero(file, tensor)),
        )
        for name, tensor in progress("count zeros", "matrices", matrices, stays=False)
    )


def kept_weights(file: MdlFile, layer: int, title: str, size: int) -> NDArray[np.bool_] | None:
    """Which weights of one matrix are not zero, of its first ``size`` rows and columns.

    None where the checkpoint has no such matrix.
    """
    for name, tensor in file.tensors.items():
        if len(tensor.shape) == 2 and _place(name) == (layer, title):
            corner = (slice(0, size), slice(0, size))
            bits = lz4_chunks.read(file.numbers(tensor), corner)
            return number_formats.is_nonzero(bits, tensor.dtype)
    return None


def _nonzero(file: MdlFile, tensor: StoredTensor) -> Iterator[NDArray[np.bool_]]:
    numbers = file.numbers(tensor)
    for rows in row_slices(tensor.shape):
        yield number_formats.is_nonzero(lz4_chunks.read(numbers, rows), tensor.dtype)


def _fraction(report: PartReport | None) -> float:
    if report is None or not report.num_elements:
        return float("nan")
    return (report.num_zeros or 0) / report.num_elements


def _place(name: str) -> tuple[int, str] | None:
    """The layer and the title of a linear weight, or None: ``...ffn.ffn.0...`` is ``ffn.0``."""
    found = _LINEAR_WEIGHT.fullmatch(name)
    if found is None:
        return None
    return int(found["layer"]), found["projection"] or found["inner"]
