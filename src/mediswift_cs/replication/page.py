"""What a user reads of a replication: ``claims.html``, and the page of the documentation."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markupsafe import Markup

from mediswift_cs.errors import DataError
from mediswift_cs.pages.figures import Line, curves
from mediswift_cs.pages.page import render, short
from mediswift_cs.replication import recipe
from mediswift_cs.replication.claims import CLAIMS
from mediswift_cs.replication.scales import SCALES
from mediswift_cs.storage.read import check_type, read_json_object
from mediswift_cs.storage.write import write_text

DOCS_PAGE = "reproduce.md"
# Beside it, of the runs that the page tells of, in the order of their names.
DOCS_CLAIMS = "reproduce.claims*.json"
_SWEEP = "held-out loss over the learning rate; dotted: the best one"
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
    text = render(
        "mediswift_cs.replication",
        "claims.html.jinja",
        title=f"MediSwift's claims at scale {content['scale']}",
        content=content,
        verdicts=[
            [one["claim"], one["verdict"], f"{one['p_value_holm']:.2g}", one["text"]]
            for one in content["claims"]
        ],
        claims=[
            {
                **claim,
                "numbers": [number_line(part) for part in claim["parts"]],
                "beside": [number_line(part) for part in claim["beside"]],
            }
            for claim in content["claims"]
        ],
        pretraining=[
            (_sweep_figure(content["sweeps"], list(content["arms"]), "bits per byte"), _SWEEP),
            (_loss_figure(content), "held-out loss over training FLOPs, a point a seed"),
        ],
        fine_tuning=[
            (
                _sweep_figure(
                    content["tuning_sweeps"], list(content["fine_tuning"]), "nats per answer token"
                ),
                _SWEEP,
            )
        ],
        arms=[_arm_row(content, name) for name in content["arms"]],
        answers=[
            *((name, round(fmean(each["accuracy"]), 2)) for name, each in _tuned(content)),
            ("always the same answer", round(content["baseline"], 2)),
        ],
        seeds=[[name, *(f"{x:.2f}" for x in each["accuracy"])] for name, each in _tuned(content)],
    )
    write_text(path, text)


def _tuned(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(content["fine_tuning"].items())


def _arm_row(content: Mapping[str, Any], name: str) -> list[object]:
    arm, sweep = content["arms"][name], content["sweeps"].get(name)
    rate = "the dense arm's" if sweep is None else short(sweep["rate"])
    return [
        name,
        arm["weights"],
        arm["steps"],
        short(arm["flops"]),
        rate + (", not bracketed" if sweep and sweep["not_bracketed"] else ""),
        ", ".join(f"{bits:.4f}" for bits in arm["bits_per_byte"]),
        ", ".join(f"{100 * each:.0f}" for each in arm["clipped_fraction"]),
    ]


def _sweep_figure(sweeps: Mapping[str, Any], names: Sequence[str], unit: str) -> Markup:
    """The losses of each sweep, and a dotted line at its best rate; names have their colours."""
    lines = []
    for name, sweep in sweeps.items():
        points = [(math.log2(rate), loss) for rate, loss in sweep["losses"] if loss is not None]
        x, y = zip(*points, strict=True)
        lines.append(Line(x=x, y=y, colour=names.index(name), style="o-"))
        if sweep["not_bracketed"] is None:
            best = math.log2(sweep["rate"])
            ends = (min(y), max(y))
            lines.append(Line(x=(best, best), y=ends, colour=names.index(name), style=":"))
    return curves(lines, x="log2 of the peak learning rate", y=unit)


def _loss_figure(content: Mapping[str, Any]) -> Markup:
    lines = [
        Line(
            x=[arm["flops"]] * len(arm["bits_per_byte"]),
            y=arm["bits_per_byte"],
            colour=number,
            style="o",
        )
        for number, arm in enumerate(content["arms"].values())
    ]
    return curves(lines, x="training FLOPs, pruned weights left out", y="bits per byte")


def docs_page(folder: Path) -> str:
    """The text of ``docs/reproduce.md``, from the claims beside it, if runs are recorded.

    Raises:
        DataError: the folder is not there, or claims cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"--render: got {folder}, allowed: a folder that is there")
    recorded = [_recorded(path) for path in sorted(folder.glob(DOCS_CLAIMS))]
    verdicts = [[claim["verdict"] for claim in content["claims"]] for content in recorded]
    return _docs_text(
        recorded=recorded,
        num_equal=sum(len(set(each)) == 1 for each in zip(*verdicts, strict=True)),
    )


def _recorded(path: Path) -> dict[str, Any]:
    """The claims in a file, of which a page can be made.

    Raises:
        DataError: it has none, or others than this version's.
    """
    content = read_json_object(path)
    where = f"{path}: no claims of a replication"
    claims = check_type(list[dict[str, Any]], content.get("claims"), where)
    found = [claim.get("claim") for claim in claims]
    if found != (wanted := [claim.name for claim in CLAIMS]):
        raise DataError(f"{where}: got claims {found!r:.80}, allowed: {', '.join(wanted)}")
    try:
        # What another version leaves out, the page would miss.
        _docs_text(recorded=[content], num_equal=0)
    except (ValueError, TypeError, KeyError, UndefinedError) as error:
        raise DataError(f"{where} that this version has made: make them again") from error
    return content


def write_docs_page(folder: Path) -> Path:
    """Write ``reproduce.md`` into a folder; returns its path."""
    return write_text(folder / DOCS_PAGE, docs_page(folder))


def _docs_text(*, recorded: list[dict[str, Any]], num_equal: int) -> str:
    environment = Environment(
        loader=PackageLoader("mediswift_cs.replication"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number_line"] = number_line
    return environment.get_template("reproduce.md.jinja").render(
        recorded=recorded, num_equal=num_equal, claims=CLAIMS, scales=SCALES, recipe=recipe
    )
