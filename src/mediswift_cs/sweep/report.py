"""What a sweep found: a table, ``sweep.json`` and a picture."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mediswift_cs.storage.write import atomic_file, write_json
from mediswift_cs.sweep.runs import Outcome, Run
from mediswift_cs.sweep.values import OPTION, Swept
from mediswift_cs.sweep.vertex import NotBracketed, Vertex, vertex

REPORT_FILE = "sweep.json"
PICTURE_FILE = "sweep.png"

MAX_SHOWN = 60
# Octaves over which a loss curve is no parabola any more.
WIDE = 4.0


class Report:
    """The results of a sweep over one key."""

    def __init__(self, swept: Swept, runs: Sequence[Run], outcomes: Sequence[Outcome]) -> None:
        self.swept = swept
        self.runs = runs
        self.outcomes = outcomes
        self.losses = [
            math.inf if outcome.val_loss is None else outcome.val_loss for outcome in outcomes
        ]
        self.numbers = [run.value.number or 0.0 for run in runs]
        self.best: Vertex | NotBracketed | None = (
            vertex(self.numbers, self.losses) if swept.are_positive else None
        )

    @property
    def lowest(self) -> int | None:
        """The number of the run with the lowest held-out loss; None where every run diverged."""
        index = min(range(len(self.losses)), key=self.losses.__getitem__)
        return index if math.isfinite(self.losses[index]) else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``sweep.json``."""
        found: dict[str, Any] = {
            "key": self.swept.key,
            "params": str(self.runs[0].loaded.source),
            "runs": [
                {"value": run.value.content, "folder": run.folder.name, **asdict(outcome)}
                for run, outcome in zip(self.runs, self.outcomes, strict=True)
            ],
            "lowest": None if self.lowest is None else self.runs[self.lowest].value.content,
        }
        if isinstance(self.best, Vertex):
            found["vertex"] = asdict(self.best)
        elif self.best is not None:
            found["not_bracketed"] = asdict(self.best)
        return found

    def text(self) -> str:
        """The report of a sweep as lines for a terminal."""
        name = self.swept.key.rpartition(".")[2]
        shown = [textwrap.shorten(run.value.shown, MAX_SHOWN) for run in self.runs]
        width = max(len(name), *map(len, shown))
        lines = [
            f"{self.swept.key}: held-out loss in nats per token",
            f"{name:{width}}   step  held-out loss  bits per byte",
        ]
        for index, (value, outcome) in enumerate(zip(shown, self.outcomes, strict=True)):
            if outcome.val_loss is None:
                reason = (outcome.error or "").partition(":")[0]
                lines.append(f"{value:{width}}  diverged: {reason}")
                continue
            bits = outcome.val_bits_per_byte
            line = f"{value:{width}} {outcome.step:6} {outcome.val_loss:14.4f}"
            line += "" if bits is None else f" {bits:14.4f}"
            lines.append(line + "  lowest" * (index == self.lowest))
        return "\n".join([*lines, *self._conclusion()])

    def _conclusion(self) -> list[str]:
        """Where the best value lies, as far as the values show it."""
        if isinstance(self.best, Vertex):
            (left, _), (middle, _), (right, _) = self.best.points
            lines = [
                f"best: {self.best.rate:.3g}, the vertex of the parabola in log2 through {left:g}, "
                f"{middle:g} and {right:g}"
            ]
            if (octaves := math.log2(right / left)) > WIDE:
                lines.append(f"  these lie {octaves:.1f} octaves apart: values between say more")
            return lines
        if self.best is None:
            return []
        added = ", ".join(f"{rate:.3g}" for rate in self.best.add)
        is_wider = self.best.add[0] < min(self.numbers) or self.best.add[-1] > max(self.numbers)
        every = sorted([*self.numbers, *(float(f"{rate:.3g}") for rate in self.best.add)])
        listed = ",".join(f"{number:.12g}" for number in every)
        return [
            f"not bracketed: {self.best.reason}; {'widen to' if is_wider else 'add'} {added}:",
            f"  {OPTION} {self.swept.key}={listed}",
        ]

    def write(self, folder: Path) -> list[Path]:
        """Write the files of the report; returns their paths."""
        paths = [write_json(folder / REPORT_FILE, self.as_dict())]
        if self.swept.are_numbers and self.lowest is not None:
            paths.append(self.draw(folder / PICTURE_FILE))
        return paths

    def draw(self, path: Path) -> Path:
        """Draw the losses over the values, with the parabola and its vertex."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), dpi=110)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        points = sorted(zip(self.numbers, self.losses, strict=True))
        finite = [point for point in points if math.isfinite(point[1])]
        axes.plot(*zip(*finite, strict=True), "o", color="tab:blue", label="held-out loss")
        if self.swept.are_positive:
            axes.set_xscale("log", base=2)
            axes.set_xticks(self.numbers, [run.value.shown for run in self.runs], rotation=30)
            axes.minorticks_off()
        if isinstance(self.best, Vertex):
            _draw_parabola(axes, self.best)
        for number, loss in points:
            if not math.isfinite(loss):
                axes.axvline(number, color="tab:red", ls=":", label="diverged")
        axes.set(xlabel=self.swept.key, ylabel="nats per token", title=self._title())
        handles, labels = axes.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        axes.legend(once.values(), once.keys())
        figure.tight_layout()
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="png")
        return path

    def _title(self) -> str:
        source = self.runs[0].loaded.source.name
        return f"{source}: {'not bracketed' if isinstance(self.best, NotBracketed) else 'sweep'}"


def _draw_parabola(axes: Any, best: Vertex) -> None:
    """The parabola over the three points that it goes through, and its vertex."""
    (left, _), _, (right, _) = best.points
    places = [left * (right / left) ** (step / 100) for step in range(101)]
    axes.plot(places, [best.loss_at(place) for place in places], "-", color="tab:gray", lw=1)
    axes.plot(
        best.rate, best.loss, "*", color="tab:orange", ms=14, label=f"vertex: {best.rate:.3g}"
    )
