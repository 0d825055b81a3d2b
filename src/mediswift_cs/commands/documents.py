"""``mediswift documents``: PubMed and PMC XML, or texts of one's own -> one file of documents."""

import argparse
from typing import Any

from mediswift_cs import arguments

HELP = """Read PubMed or PMC XML, or a data set, and write documents (zstd JSON lines).

example:
  mediswift documents --sample --output data/docs.jsonl.zst
  mediswift documents baseline/ updatefiles/ --pmc pmc/ --output data/docs.jsonl.zst
  mediswift documents --dataset corpus.parquet --text-column abstract --output data/docs.jsonl.zst

These are the stages parse, clean, dedup and guard of `mediswift prepare`, with its defaults. Left
out unless asked for: records without abstract, articles in other languages than English, retracted
articles, notices about articles, full texts that may not be used commercially. On unless switched
off: cleaning, leaving out duplicates, and the guard, which leaves out the articles of PubMedQA's
labelled set and of the Hallmarks of Cancer corpus. Always: of a record only its latest version.
The number of each is printed and kept in data/docs.manifest.json.

Exit code 1: done, but files that cannot be used were left out. Exit code 2: an option is wrong, or
nothing is left (the manifest says why).
"""


# What is left out unless one asks for it.
_KEPT = {
    "title_only": "records without abstract, as their title",
    "other_languages": "articles in other languages",
    "retracted": "retracted articles",
    "notices": "retraction notices, errata and expressions of concern",
}
# What is done unless one asks not to, and the settings without it.
_SWITCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("copyright lines and cut words", {"boilerplate": False, "dehyphenate": False}),
    "dedup": (
        "texts that are there twice, and abstracts of full texts",
        {"exact": False, "near": False, "abstracts_of_full_texts": "keep"},
    ),
    "guard": ("the articles of benchmarks", {"pmids": False}),
}
_GUARDED = {
    "text": "near copies of a benchmark's texts (.json, .jsonl or .txt)",
    "pmids": "the articles with these PMIDs, one a line,",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift documents`` to its parser."""
    parser.add_argument(
        "inputs",
        nargs="*",
        type=arguments.path,
        metavar="INPUT",
        help="PubMed: a .xml or .xml.gz file, or a folder",
    )
    arguments.add_sample(parser)
    parser.add_argument(
        "--pmc",
        nargs="+",
        default=[],
        type=arguments.path,
        metavar="INPUT",
        help="full texts: .nxml or .xml files, tar archives, or folders",
    )
    arguments.add_output(parser, "a name ending in .jsonl.zst")
    arguments.add_limit(parser, "stop after N records of each kind of input")
    for name, what in _KEPT.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=f"keep {what}")
    for name, (what, _settings) in _SWITCHES.items():
        parser.add_argument(f"--no-{name}", action="store_true", help=f"leave in {what}")
    for name, what in _GUARDED.items():
        parser.add_argument(
            f"--guard-{name}",
            action="append",
            default=[],
            type=arguments.path,
            metavar="FILE",
            help=f"leave out {what} too",
        )
    _add_data_set_arguments(parser)


def _add_data_set_arguments(parser: argparse.ArgumentParser) -> None:
    dataset = parser.add_argument_group("texts of your own, from what `datasets` reads")
    arguments.add_data_set(dataset, "JSON lines, Parquet, or a name on the Hub")
    arguments.add_data_set_config(dataset)
    dataset.add_argument(
        "--dataset-split", default="train", metavar="NAME", help="default: %(default)s"
    )
    arguments.add_columns(dataset, "decides each document's split (default: the text itself)")


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift documents`` with the options that were given."""
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.prepare.config import PrepareSettings
    from mediswift_cs.prepare.documents import write_documents

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: got {args.limit}, allowed: 1 record or more")
    if args.no_guard and (args.guard_text or args.guard_pmids):
        raise ConfigError("--no-guard: got also a file for the guard, allowed: one of them")
    settings = PrepareSettings.model_validate(_settings(args))
    manifest, is_new = write_documents(settings, overwrite=args.overwrite)
    counts = manifest["counts"]
    print(f"{args.output}: {'written' if is_new else 'already there'}")
    print(f"{counts['kept']:>12,} documents of {counts['records_read']:,} records")
    for reason, number in counts.items():
        if number and reason not in ("kept", "records_read"):
            print(f"{number:>12,} left out: {reason}")
    for each in manifest["quarantined"]:
        print(f"quarantined: {each['file']}: {each['reason']}")
    return 1 if manifest["quarantined"] else 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The options as settings of ``mediswift prepare``."""
    from mediswift_cs.corpora.sample import download_sample

    inputs = [*args.inputs, *([download_sample()] if args.sample else [])]
    dropped = [name for name in ("retracted", "notices") if not getattr(args, name)]
    articles = {
        "other_languages": args.other_languages,
        "corrections": f"drop_{'_and_'.join(dropped)}" if dropped else "keep_all",
        "limit": args.limit,
    }
    sections = {
        name: settings if getattr(args, f"no_{name}") else {}
        for name, (_what, settings) in _SWITCHES.items()
    }
    files = {"texts": args.guard_text, "pmid_files": args.guard_pmids}
    return {
        "output": args.output,
        "pubmed": {"inputs": inputs, "title_only": args.title_only, **articles},
        "pmc": {"inputs": args.pmc, **articles},
        "dataset": {
            "name": args.dataset,
            "config": args.dataset_config,
            "split": args.dataset_split,
            "text_column": args.text_column,
            "id_column": args.id_column,
            "limit": args.limit,
        },
        "clean": sections["clean"],
        "dedup": sections["dedup"],
        "guard": {**sections["guard"], **files},
        "engine": {"workers": 1},
    }
