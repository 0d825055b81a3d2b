"""``mediswift documents``: PubMed XML -> one file of documents."""

import argparse

from mediswift_cs import arguments

HELP = """Read PubMed XML and write documents (zstd JSON lines).

example:
  mediswift documents --sample --output data/docs.jsonl.zst
  mediswift documents baseline/ updatefiles/ --output data/docs.jsonl.zst

Left out unless asked for: records without abstract, articles in other languages than English,
retracted articles, notices about articles; always: deleted records, and of several versions all
but the latest. The number of each is printed and kept in data/docs.manifest.json.
"""


# What is left out unless one asks for it.
_KEPT = {
    "title_only": "records without abstract, as their title",
    "other_languages": "articles in other languages",
    "retracted": "retracted articles",
    "notices": "retraction notices, errata and expressions of concern",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "inputs",
        nargs="*",
        type=arguments.path,
        metavar="INPUT",
        help="a .xml or .xml.gz file, or a folder",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="read 30,000 real records of 2020 (fetched once with pip, 57 MB)",
    )
    arguments.add_output(parser, "a name ending in .jsonl.zst")
    arguments.add_limit(parser, "stop after N records")
    for name, what in _KEPT.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=f"keep {what}")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from mediswift_cs.corpora.build_documents import write_documents
    from mediswift_cs.corpora.sample import download_sample
    from mediswift_cs.corpora.selection import Selection
    from mediswift_cs.errors import ConfigError

    inputs = list(args.inputs)
    if args.sample:
        inputs.append(download_sample())
    if not inputs:
        raise ConfigError("no input: give PubMed XML files or folders, or --sample")
    manifest, is_new = write_documents(
        inputs,
        args.output,
        selection=Selection(**{name: getattr(args, name) for name in _KEPT}),
        limit=args.limit,
        overwrite=args.overwrite,
    )
    counts = manifest["counts"]
    print(f"{args.output}: {'written' if is_new else 'already there'}")
    print(f"{counts['kept']:>12,} documents of {counts['records_read']:,} records")
    for reason, number in counts.items():
        if number and reason not in ("kept", "records_read"):
            print(f"{number:>12,} left out: {reason}")
    return 0
