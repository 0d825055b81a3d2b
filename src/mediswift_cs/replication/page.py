"""What a user reads of a replication: ``claims.html``, and the page of the documentation."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mediswift_cs.errors import DataError
from mediswift_cs.replication.claims import CLAIMS
from mediswift_cs.replication.scales import SCALES
from mediswift_cs.storage.write import write_text

DOCS_PAGE = "reproduce.md"
# Beside it, of the runs that the page tells of, in the order of their names.
DOCS_CLAIMS = "reproduce.claims*.json"
_DIGITS = {"octaves": 2, "points": 2, "bits per byte": 4, "ratio": 3}


def number_line(part: Mapping[str, Any]) -> str:
    """A measured number with its interval, and what is claimed of it."""
    digits = _DIGITS[part["unit"]]
    low, high = part["interval_95"]
    line = (
        f"{part['what']}: {part['value']:.{digits}f} {part['unit']} "
        f"(95 %: {low:.{digits}f} to {high:.{digits}f})"
    )
    least, most = part["claimed_between"]
    bounds = [
        *([] if least is None else [f"above {least:g}"]),
        *([] if most is None else [f"below {most:g}"]),
    ]
    return f"{line}, claimed: {' and '.join(bounds)}" if bounds else line


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page, which needs no other file."""
    figures = [
        ("Held-out loss over the learning rate, and the best rates", _sweeps(content)),
        ("Held-out loss over training FLOPs", _losses(content)),
        ("Right answers after fine-tuning", _accuracies(content)),
    ]
    write_text(path, _render("claims.html.jinja", content=content, figures=figures))


def docs_page(folder: Path) -> str:
    """The text of ``docs/reproduce.md``, from the claims beside it, if runs are recorded.

    Raises:
        DataError: claims cannot be read.
    """
    recorded = []
    for path in sorted(folder.glob(DOCS_CLAIMS)):
        try:
            recorded.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no claims of a replication ({error})") from error
    verdicts = [[claim["verdict"] for claim in content["claims"]] for content in recorded]
    return _render(
        "reproduce.md.jinja",
        recorded=recorded,
        num_equal=sum(len(set(each)) == 1 for each in zip(*verdicts, strict=True)),
        claims=CLAIMS,
        scales=SCALES,
    )


def write_docs_page(folder: Path) -> Path:
    """Write ``reproduce.md`` into a folder; returns its path."""
    return write_text(folder / DOCS_PAGE, docs_page(folder))


def _render(name: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("mediswift_cs.replication"),
        autoescape=lambda template: template is not None and ".html" in template,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number_line"] = number_line
    return environment.get_template(name).render(values)


def _figure(columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    # Without pyplot, which keeps state and looks for a display.
    figure = Figure(figsize=(9, 4.5), dpi=100)
    return figure, figure.subplots(1, columns)


def _picture(figure: Any) -> str:
    """As the address of an inline image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.tight_layout()
    FigureCanvasAgg(figure)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def _sweeps(content: Mapping[str, Any]) -> str:
    figure, axes = _figure(2)
    for panel, key, unit in zip(
        axes,
        ("sweeps", "tuning_sweeps"),
        ("pre-training, bits per byte", "fine-tuning, nats per answer token"),
        strict=True,
    ):
        for name, sweep in content[key].items():
            points = [(rate, loss) for rate, loss in sweep["losses"] if loss is not None]
            (line,) = panel.plot(*zip(*points, strict=True), "o-", label=name, lw=1)
            if sweep["not_bracketed"] is None:
                panel.axvline(sweep["rate"], color=line.get_color(), ls=":", lw=1)
        panel.set_xscale("log", base=2)
        # Plain numbers: exponents take fonts that not every system has.
        panel.xaxis.set_major_formatter(lambda rate, _: f"{rate:.2g}")
        panel.set(xlabel="peak learning rate", ylabel=unit)
        panel.legend(fontsize=6)
    return _picture(figure)


def _losses(content: Mapping[str, Any]) -> str:
    figure, axes = _figure()
    for name, arm in content["arms"].items():
        flops = [arm["flops"]] * len(arm["bits_per_byte"])
        axes.plot(flops, arm["bits_per_byte"], "o", label=name, alpha=0.7)
    axes.set(xlabel="training FLOPs, pruned weights left out", ylabel="bits per byte")
    axes.legend(fontsize=7)
    return _picture(figure)


def _accuracies(content: Mapping[str, Any]) -> str:
    figure, axes = _figure()
    names = list(content["fine_tuning"])
    for place, name in enumerate(reversed(names)):
        values = content["fine_tuning"][name]["accuracy"]
        axes.plot(values, [place] * len(values), "o", alpha=0.7)
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.axvline(content["baseline"], color="gray", ls="--", label="always the same answer")
    axes.set(xlabel="right answers, %, one dot a seed")
    axes.legend(fontsize=7)
    return _picture(figure)
