"""``mediswift fetch``: PubMed's files, or PMC's articles by a list."""

import argparse

from mediswift_cs import arguments

HELP = """Fetch PubMed's baseline and update files, or PMC's open-access articles.

example:
  mediswift fetch pubmed --output data/pubmed
  mediswift fetch pmc --list pmc_keys.txt --output data/pmc

Files that are there with the right checksum are left, files that broke off are resumed, and a file
gets its name only when it is whole. PMC's list has one key of the bucket a line, such as
  PMC11370360.1/PMC11370360.1.xml
(or is a CSV file with a column Key); it may be an address.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift fetch`` to its parser."""
    parser.add_argument("source", choices=("pubmed", "pmc"))
    parser.add_argument("--output", required=True, type=arguments.path, help="a folder")
    parser.add_argument("--address", help="of the server (default: NLM's, and PMC's bucket)")
    parser.add_argument(
        "--folder",
        action="append",
        choices=("baseline", "updatefiles"),
        help="pubmed: this folder only",
    )
    parser.add_argument(
        "--list",
        type=arguments.path_text,
        metavar="FILE_OR_ADDRESS",
        help="pmc: which articles, by their keys",
    )
    parser.add_argument(
        "--connections", type=int, default=3, help="files at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--attempts", type=int, default=6, help="of each file (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift fetch`` with the options that were given."""
    from mediswift_cs.corpora import fetch
    from mediswift_cs.corpora.download import Downloader
    from mediswift_cs.errors import ConfigError

    downloader = Downloader(num_connections=args.connections, num_attempts=args.attempts)
    if args.source == "pubmed":
        if args.list:
            raise ConfigError("--list is for pmc: PubMed's folders are listed by the server")
        counts = fetch.fetch_pubmed(
            args.output,
            address=args.address or fetch.PUBMED_ADDRESS,
            folders=args.folder or fetch.PUBMED_FOLDERS,
            downloader=downloader,
        )
    else:
        if not args.list or args.folder:
            raise ConfigError("pmc needs --list FILE_OR_ADDRESS, and has no --folder")
        address = args.address or fetch.PMC_ADDRESS
        counts = fetch.fetch_pmc(args.output, args.list, address=address, downloader=downloader)
    print(
        f"{args.output}: {counts['fetched']:,} fetched, {counts['already_there']:,} already there"
    )
    return 0
