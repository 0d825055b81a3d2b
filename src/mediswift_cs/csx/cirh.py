"""What a lowered graph consists of: counts and a fingerprint of its CIRH text.

CIRH is the operation set that the CS-2's compiler takes, as MLIR text. The lowering is
deterministic, so two graphs are the same exactly if their normalised texts are.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mediswift_cs.params.schema import Params

OPERATION = re.compile(r"\bcirh\.([A-Za-z0-9_]+)")
SPARSITY_HINT = "min_sparsity"
# Where each line came from: paths and line numbers of this machine's Python code.
LOCATION_ENTRY = re.compile(r"^#loc[0-9]* = ")
LOCATION_START = "loc("


def hints_per_mask(params: Params, *, trains: bool) -> int:
    """Annotations of one sparse weight: its mask and, where it trains, each moment of AdamW."""
    optimizer = params.trainer.init.optimizer
    if not trains or optimizer is None:
        return 1
    return 4 if optimizer.AdamW.amsgrad else 3


@dataclass(frozen=True, kw_only=True)
class GraphSummary:
    """Counts of one CIRH file."""

    operations: dict[str, int]
    """Operation -> how often, by name."""
    num_sparsity_hints: int
    """Annotations that tell the compiler of a sparse tensor."""
    sha256: str
    """Of the text without source locations."""

    @property
    def num_operations(self) -> int:
        """How many operations the graph has, of all kinds."""
        return sum(self.operations.values())

    def to_json(self) -> dict[str, Any]:
        """The fields as plain data, which JSON can hold."""
        return asdict(self)


def summarise(path: Path) -> GraphSummary:
    """Read a CIRH file line by line."""
    operations: Counter[str] = Counter()
    num_hints = 0
    digest = hashlib.sha256()
    for line in normalised_lines(path):
        operations.update(OPERATION.findall(line))
        num_hints += line.count(SPARSITY_HINT)
        digest.update(line.encode())
        digest.update(b"\n")
    return GraphSummary(
        operations=dict(sorted(operations.items())),
        num_sparsity_hints=num_hints,
        sha256=digest.hexdigest(),
    )


def normalised_lines(path: Path) -> Iterator[str]:
    """The lines without what depends on the machine and on line numbers of Python code."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not LOCATION_ENTRY.match(line):
                yield without_locations(line.rstrip())


def without_locations(line: str) -> str:
    """``line`` without its ``loc(...)``, which nest."""
    parts, position = [], 0
    while (start := line.find(LOCATION_START, position)) >= 0:
        parts.append(line[position:start].rstrip(" "))
        position = _closing(line, start + len(LOCATION_START))
    return "".join([*parts, line[position:]])


def _closing(line: str, position: int) -> int:
    """The end of a parenthesis that is open at ``position``; text in quotes does not count."""
    depth, quoted = 1, False
    while depth and position < len(line):
        character = line[position]
        if character == '"' and line[position - 1] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
        position += 1
    return position


def differences(expected: GraphSummary, found: GraphSummary) -> list[str]:
    """One sentence for each difference; empty if the graphs are the same."""
    lines = []
    for name in sorted(expected.operations.keys() | found.operations.keys()):
        before, after = expected.operations.get(name, 0), found.operations.get(name, 0)
        if before != after:
            lines.append(f"cirh.{name}: {before} before, {after} now ({after - before:+d})")
    if expected.num_sparsity_hints != found.num_sparsity_hints:
        lines.append(
            f"{SPARSITY_HINT}: {expected.num_sparsity_hints} before, {found.num_sparsity_hints} now"
        )
    if not lines and expected.sha256 != found.sha256:
        lines.append(
            f"the same operations as often, but in another order or with other shapes or "
            f"constants: sha256 {expected.sha256} before, {found.sha256} now"
        )
    return lines
