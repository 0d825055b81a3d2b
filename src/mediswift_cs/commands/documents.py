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
    parser.add_argument(
        "--title-only", action="store_true", help="keep records without abstract, as their title"
    )
    parser.add_argument(
        "--other-languages", action="store_true", help="keep articles in other languages"
    )
    parser.add_argument("--retracted", action="store_true", help="keep retracted articles")
    parser.add_argument(
        "--notices",
        action="store_true",
        help="keep retraction notices, errata and expressions of concern",
    )


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
        selection=Selection(
            title_only=args.title_only,
            other_languages=args.other_languages,
            retracted=args.retracted,
            notices=args.notices,
        ),
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
