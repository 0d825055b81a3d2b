"""What a user reads about a corpus: ``manifest.json``, ``corpus.html``, and the dataset card."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mediswift_cs import __version__
from mediswift_cs.corpora.document import Document
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.guard import Statistics, blocked_pmids
from mediswift_cs.prepare.output import CARD, MANIFEST, REPORT
from mediswift_cs.prepare.tasks import Result, total
from mediswift_cs.storage.write import write_json, write_text

_NUM_JOURNALS = 30
# That an error names; the manifest has all.
_NUM_REASONS = 5
_CARD_TYPES = {int: "int64", int | None: "int64", str: "string", str | None: "string"}


def write_report(
    settings: PrepareSettings,
    results: Mapping[str, Sequence[Result]],
    counts: Mapping[str, Mapping[str, int]],
) -> None:
    """Write manifest and page.

    They hold no time and no path, so the same corpus gives the same bytes.

    Args:
        results: of all tasks, as in :class:`mediswift_cs.prepare.stage_tasks.StageTasks`.
        counts: of each stage, by what became of records and documents.
    """
    statistics = Statistics.sum_of(result["statistics"] for result in results["guard"])
    copies = [each for result in results["guard"] for each in result["benchmark_copies"]]
    manifest = {
        **_of_inputs(settings, results, counts),
        "cleaning": total("changes", results["clean"]),
        "guard": {
            "num_blocked_pmids": len(blocked_pmids(settings.guard)),
            "num_texts_files": len(settings.guard.texts),
            "near_copies_found": sorted(copies),
        },
        "statistics": statistics.as_dict(),
        "tokenizer": results["tokenizer"][0],
        "splits": {
            name: {key: value for key, value in split.items() if key != "shards"}
            for name, split in results["hdf5"][0]["splits"].items()
        },
    }
    write_json(settings.output / MANIFEST, manifest, ensure_ascii=False)
    write_text(settings.output / REPORT, _page(manifest))


def write_manifest_of_inputs(
    settings: PrepareSettings,
    results: Mapping[str, Sequence[Result]],
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """Write ``manifest.json`` of a corpus that has no document, and return what it says."""
    manifest = _of_inputs(settings, results, counts)
    write_json(settings.output / MANIFEST, manifest, ensure_ascii=False)
    return manifest


def reasons_in_words(manifest: Mapping[str, Any]) -> str:
    """Why records were left out, most frequent first, with the first file of each reason."""
    reasons: Counter[str] = Counter()
    for numbers in manifest["counts"].values():
        reasons.update({name: n for name, n in numbers.items() if name != "kept" and n})
    files, quarantined = manifest["first_files"], manifest["quarantined"]
    words = [
        f"{name} {number}" + (f" (first in {files[name]})" if name in files else "")
        for name, number in _most_frequent_first(reasons)
    ]
    words += [f"quarantined {each['file']}: {each['reason']}" for each in quarantined]
    more = len(words) - _NUM_REASONS
    return "; ".join(words[:_NUM_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _of_inputs(
    settings: PrepareSettings,
    results: Mapping[str, Sequence[Result]],
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """What the manifest says of the inputs and of what became of them."""
    private = {"output": True, "engine": True, "fetch": True}
    inputs = {"pubmed": {"inputs"}, "pmc": {"inputs"}, "tokenizer": {"path"}}
    inputs["guard"] = {"texts", "pmid_files"}
    parsed = results["parse"]
    first_files: dict[str, str] = {}
    for result in reversed(parsed):
        first_files |= result["first_files"]
    first_files.pop("kept", None)
    return {
        "package_version": __version__,
        "settings": settings.model_dump(mode="json", exclude={**private, **inputs}),
        "counts": counts,
        "deletions": results["resolve"][0]["deletions"],
        "first_files": dict(sorted(first_files.items())),
        "unlisted_elements": dict(sorted(total("unlisted_elements", parsed).items())),
        "quarantined": [each for result in parsed for each in result["quarantined"]],
        "sources": [each for result in parsed for each in result["files"]],
    }


def _page(manifest: Mapping[str, Any]) -> str:
    statistics, splits = manifest["statistics"], manifest["splits"]
    lengths = sorted(statistics["lengths"].items(), key=lambda item: int(item[0]))
    return _render(
        "corpus.html.jinja",
        totals=[
            ("documents", statistics["num_documents"]),
            *((f"documents of {name}", n) for name, n in statistics["sources"].items()),
            ("characters", statistics["num_characters"]),
            *((f"tokens ({name})", split["num_tokens"]) for name, split in splits.items()),
            *((f"samples ({name})", split["num_samples"]) for name, split in splits.items()),
            ("tokens of the vocabulary", manifest["tokenizer"]["vocab_size"]),
        ],
        quarantined=manifest["quarantined"],
        counts=manifest["counts"],
        unlisted=_most_frequent_first(manifest["unlisted_elements"]),
        lengths=[(f"{int(low):,} to {2 * int(low) - 1:,} characters", n) for low, n in lengths],
        years=sorted(statistics["years"].items()),
        journals=_most_frequent_first(statistics["journals"]),
        licences=_most_frequent_first(statistics["licences"]),
        num_shown_journals=_NUM_JOURNALS,
    )


def _most_frequent_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def write_card(folder: Path) -> None:
    """Write ``README.md``, which tells `datasets` the types of the columns.

    A part in which no document states a licence would have null for a type.
    """
    columns = []
    for each in fields(Document):
        name = _CARD_TYPES.get(each.type)  # type: ignore[arg-type]
        columns.append((each.name, f"dtype: {name}" if name else "sequence: string"))
    write_text(folder / CARD, _render("dataset_card.md.jinja", columns=columns))


def _render(template: str, **content: object) -> str:
    environment = Environment(
        loader=PackageLoader("mediswift_cs.prepare"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_escaped if ".html" in template else None,
    )
    environment.filters["grouped"] = "{:,}".format
    return environment.get_template(template).render(content)


def _escaped(value: object) -> object:
    """Text with html.escape's names of quotes: jinja2's own may change with its version."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return Markup(html.escape(value))
