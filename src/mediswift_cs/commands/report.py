"""``mediswift report``: what runs did, on one HTML page."""

import argparse

from mediswift_cs import arguments

HELP = """Write one HTML page about one or several runs, to be shown to somebody else.

Loss and bits per byte over steps, tokens and FLOPs, learning rate, clipping, throughput, the zeros
of each layer and a mask, where the data came from, scores with intervals and confusion matrices,
some answers, and the commands that repeat it. The file stands alone: it loads nothing.

examples:
  mediswift report model_dir --output report.html
  mediswift report runs/sparse runs/dense --scores scores --output report.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift report`` to its parser."""
    parser.add_argument(
        "model_dirs",
        nargs="+",
        type=arguments.path,
        metavar="MODEL_DIR",
        help="the folder of a run, at work or ended",
    )
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        type=arguments.path,
        metavar="FOLDER",
        help="results of `mediswift evaluate` that do not lie by the runs; may be given often",
    )
    arguments.add_output(parser, "the HTML file")


def run(args: argparse.Namespace) -> int:
    """Write the page; returns 0."""
    from mediswift_cs.errors import DataError
    from mediswift_cs.report.page import write_page
    from mediswift_cs.storage.write import check_writable

    if args.output.exists() and not args.overwrite:
        raise DataError(f"{args.output} exists: give another output, or --overwrite to replace it")
    check_writable(args.output)
    print(f"wrote {write_page(args.model_dirs, args.scores, args.output)}")
    return 0
