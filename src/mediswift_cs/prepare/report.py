"""Stage ``report``: ``manifest.json`` and ``corpus.html``, from the results of all stages."""

import html
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mediswift_cs import __version__
from mediswift_cs.prepare.given_files import blocked_pmids
from mediswift_cs.prepare.output import MANIFEST, REPORT
from mediswift_cs.prepare.statistics import Statistics
from mediswift_cs.storage.write import atomic_file

if TYPE_CHECKING:
    from mediswift_cs.prepare.pipeline import Pipeline

_NUM_JOURNALS = 30

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.1em .8em;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}tr:nth-child(even){background:#f4f6f8}
.bar{background:#2a6fb0;height:.8em;display:inline-block}p.warn{color:#a00}"""


def write_report(pipeline: "Pipeline") -> None:
    """Write both files. They hold no time and no path, so the same corpus gives the same bytes."""
    manifest = _manifest(pipeline)
    with atomic_file(pipeline.output / MANIFEST) as temporary:
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
    with atomic_file(pipeline.output / REPORT) as temporary:
        temporary.write_text(_page(manifest), encoding="utf-8")


def _manifest(pipeline: "Pipeline") -> dict[str, Any]:
    results = pipeline.results
    statistics = Statistics.sum_of(result["statistics"] for result in results["guard"])
    private = {"output": True, "engine": True, "fetch": True}
    inputs = {"pubmed": {"inputs"}, "pmc": {"inputs"}, "tokenizer": {"path"}}
    inputs["guard"] = {"texts", "pmid_files"}
    copies = [each for result in results["guard"] for each in result["benchmark_copies"]]
    return {
        "package_version": __version__,
        "settings": pipeline.settings.model_dump(mode="json", exclude={**private, **inputs}),
        "counts": pipeline.counts(),
        "deletions": results["resolve"][0]["deletions"],
        "cleaning": _total(result["changes"] for result in results["clean"]),
        "guard": {
            "num_blocked_pmids": len(blocked_pmids(pipeline.settings.guard)),
            "num_texts_files": len(pipeline.settings.guard.texts),
            "near_copies_found": sorted(copies),
        },
        "quarantined": [each for result in results["parse"] for each in result["quarantined"]],
        "sources": [each for result in results["parse"] for each in result["files"]],
        "statistics": statistics.as_dict(),
        "tokenizer": results["tokenizer"][0],
        "splits": {
            name: {key: value for key, value in split.items() if key != "shards"}
            for name, split in results["hdf5"][0]["splits"].items()
        },
    }


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total


def _page(manifest: Mapping[str, Any]) -> str:
    statistics = manifest["statistics"]
    parts = [_totals(manifest), _quarantine(manifest["quarantined"])]
    for stage, counts in manifest["counts"].items():
        parts.append(f"<h3>{_text(stage)}</h3>" + _bars(counts.items()))
    lengths = sorted(statistics["lengths"].items(), key=lambda item: int(item[0]))
    labelled = [(f"{int(low):,} to {2 * int(low) - 1:,} characters", n) for low, n in lengths]
    journals = sorted(statistics["journals"].items(), key=lambda item: (-item[1], item[0]))
    licences = sorted(statistics["licences"].items(), key=lambda item: (-item[1], item[0]))
    parts += [
        "<h2>Lengths</h2>" + _bars(labelled),
        "<h2>Years</h2>" + _bars(sorted(statistics["years"].items())),
        "<h2>Top journals</h2>" + _bars(journals[:_NUM_JOURNALS]),
        f"<p>{len(journals):,} journals in all.</p>",
        "<h2>Licences of full texts</h2>" + _bars(licences),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Corpus</title>'
        f"<style>{_STYLE}</style><h1>Corpus</h1>{''.join(parts)}</html>\n"
    )


def _totals(manifest: Mapping[str, Any]) -> str:
    statistics, splits = manifest["statistics"], manifest["splits"]
    rows = [("documents", statistics["num_documents"])]
    rows += [(f"documents of {name}", n) for name, n in statistics["sources"].items()]
    rows.append(("characters", statistics["num_characters"]))
    rows += [(f"tokens ({name})", split["num_tokens"]) for name, split in splits.items()]
    rows += [(f"samples ({name})", split["num_samples"]) for name, split in splits.items()]
    rows.append(("tokens of the vocabulary", manifest["tokenizer"]["vocab_size"]))
    cells = "".join(
        f'<tr><th>{_text(name)}</th><td class="n">{number:,}</td></tr>' for name, number in rows
    )
    return f"<table>{cells}</table><h2>What became of the records</h2>"


def _quarantine(files: list[dict[str, str]]) -> str:
    if not files:
        return "<p>No file was quarantined.</p>"
    items = "".join(f"<li>{_text(each['file'])}: {_text(each['reason'])}</li>" for each in files)
    return f'<p class="warn">{len(files)} quarantined:</p><ul>{items}</ul>'


def _bars(rows: Iterable[tuple[str, int]]) -> str:
    rows = list(rows)
    largest = max((number for _, number in rows), default=0) or 1
    cells = "".join(
        f'<tr><td>{_text(name)}</td><td class="n">{number:,}</td><td>'
        f'<span class="bar" style="width:{300 * number / largest:.0f}px"></span></td></tr>'
        for name, number in rows
    )
    return f"<table>{cells}</table>"


def _text(value: str) -> str:
    return html.escape(value)
