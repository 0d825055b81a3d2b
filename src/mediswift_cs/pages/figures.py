"""Pictures that stand in an HTML page, in the colours of its theme, light or dark.

matplotlib draws curves as SVG with placeholders for colours, which become the page's variables;
it is given no text from outside. A mask is a PNG in a data address.
"""

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

NUM_COLOURS = 8
"""Lines are told apart by so many colours (``--s0`` to ``--s7`` of the base page), then again."""
MAX_POINTS = 1000

_INK, _LINE = "#0000e0", "#0000e1"
# The variables of the base page that the placeholders become.
_VARIABLES = {_INK: "var(--ink)", _LINE: "var(--line)"} | {
    f"#0000a{number}": f"var(--s{number})" for number in range(NUM_COLOURS)
}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINE,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 5),
    "font.size": 10,
}
# A pixel of a weight that is kept: seen on light and dark ground. Zeros show the ground.
_KEPT = (61, 155, 224, 255)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a figure.

    Attributes:
        colour: the number of its name in the page's key.
        style: matplotlib's: "-" a line, "o-" with points, "--" dashed.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: int
    style: str = "-"


def curves(lines: Sequence[Line], *, x: str, y: str) -> Markup:
    """Lines over one pair of axes as inline SVG; ``x`` and ``y`` are what stands at the axes.

    A line of more than MAX_POINTS points is drawn by the means of as many runs of them.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Names inside the SVG follow from what is drawn: the same figure is the same text.
    settings: Any = {**_SETTINGS, "svg.hashsalt": f"{x}, {y}"}
    with mpl.rc_context(settings):
        # Without pyplot, which keeps state and looks for a display.
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for line in lines:
            xs, ys = _thinned(line)
            colour = f"#0000a{line.colour % NUM_COLOURS}"
            axes.plot(xs, ys, line.style, color=colour, lw=1.3, ms=4)
        axes.set(xlabel=x, ylabel=y)
        content = io.BytesIO()
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(content.getvalue().decode(), f"{y} over {x}"))


def _thinned(line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
    if len(x) <= MAX_POINTS:
        return x, y
    starts = np.linspace(0, len(x), MAX_POINTS, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def _inline(svg: str, title: str) -> str:
    """An SVG file as an element of a page: its own head, names and fonts left out."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"#0000[ae][0-9]", lambda found: _VARIABLES[found[0]], svg)
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    label = html.escape(title)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def mask_picture(is_kept: NDArray[np.bool_], title: str) -> Markup:
    """A matrix as a picture, one pixel a weight: kept ones are coloured, zeros are not."""
    from matplotlib.image import imsave

    pixels = np.zeros((*is_kept.shape, 4), np.uint8)
    pixels[is_kept] = _KEPT
    content = io.BytesIO()
    imsave(content, pixels, format="png")
    address = base64.b64encode(content.getvalue()).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(title, address)
