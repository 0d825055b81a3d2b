"""What a user reads about a corpus: ``manifest.json``, ``corpus.html``, and the dataset card."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mediswift_cs.corpora.document import Document
from mediswift_cs.pages.page import render
from mediswift_cs.prepare.guard import Statistics
from mediswift_cs.prepare.output import CARD, MANIFEST, REPORT
from mediswift_cs.prepare.results import most_frequent_first
from mediswift_cs.prepare.stage_tasks import StageTasks
from mediswift_cs.storage.write import write_json, write_text

_NUM_JOURNALS = 30
_CARD_TYPES = {int: "int64", int | None: "int64", str: "string", str | None: "string"}


def write_report(tasks: StageTasks) -> None:
    """Write manifest and page of a corpus whose tasks are done.

    They hold no time and no path, so the same corpus gives the same bytes.
    """
    settings, results = tasks.settings, tasks.results
    (tokenizer,), (shards,) = results.tokenizer, results.hdf5
    splits = {name: asdict(split) for name, split in shards.splits.items()}
    for split in splits.values():
        del split["shards"]
    documents = results.manifest(tasks.recipe)
    options = {
        "tokenizer": settings.tokenizer.model_dump(exclude={"path"}),
        "hdf5": settings.hdf5.model_dump(),
    }
    manifest = {
        **documents,
        "options": documents["options"] | options,
        "statistics": Statistics.sum_of(result.statistics for result in results.guard).as_dict(),
        "tokenizer": asdict(tokenizer.entry),
        "splits": splits,
    }
    write_json(settings.output / MANIFEST, manifest, ensure_ascii=False)
    write_text(settings.output / REPORT, _page(manifest))


def _page(manifest: Mapping[str, Any]) -> str:
    statistics, splits = manifest["statistics"], manifest["splits"]
    lengths = sorted(statistics["lengths"].items(), key=lambda item: int(item[0]))
    return render(
        "mediswift_cs.prepare",
        "corpus.html.jinja",
        title="Corpus",
        totals=[
            ("documents", statistics["num_documents"]),
            *((f"documents of {name}", n) for name, n in statistics["sources"].items()),
            ("characters", statistics["num_characters"]),
            *((f"tokens ({name})", split["num_tokens"]) for name, split in splits.items()),
            *((f"samples ({name})", split["num_samples"]) for name, split in splits.items()),
            ("tokens of the vocabulary", manifest["tokenizer"]["vocab_size"]),
        ],
        quarantined=manifest["quarantined"],
        counts=manifest["stages"],
        unlisted=most_frequent_first(manifest["unlisted_elements"]),
        lengths=[(f"{int(low):,} to {2 * int(low) - 1:,} characters", n) for low, n in lengths],
        years=sorted(statistics["years"].items()),
        journals=most_frequent_first(statistics["journals"]),
        licences=most_frequent_first(statistics["licences"]),
        num_shown_journals=_NUM_JOURNALS,
    )


def write_card(folder: Path) -> None:
    """Write ``README.md``, which tells `datasets` the types of the columns.

    A part in which no document states a licence would have null for a type.
    """
    columns = []
    for each in fields(Document):
        name = _CARD_TYPES.get(each.type)  # type: ignore[arg-type]
        columns.append((each.name, f"dtype: {name}" if name else "sequence: string"))
    environment = Environment(
        loader=PackageLoader("mediswift_cs.prepare"),
        autoescape=False,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    card = environment.get_template("dataset_card.md.jinja").render(columns=columns)
    write_text(folder / CARD, card)
