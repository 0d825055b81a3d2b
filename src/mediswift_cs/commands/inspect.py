"""``mediswift inspect``: what is in a checkpoint."""

import argparse
import json

from mediswift_cs import arguments

HELP = """Show what is in a .mdl checkpoint, without reading its weights.

example:
  mediswift inspect model_dir/checkpoint_400.mdl --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file to inspect and the form of the answer."""
    parser.add_argument("file", type=arguments.path, help=".mdl file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--exact", action="store_true", help="count every mask instead of a sample of large ones"
    )


def run(args: argparse.Namespace) -> int:
    """Print what the checkpoint holds."""
    from mediswift_cs.checkpoints.summary import summarize

    summary = summarize(args.file, exact=args.exact)
    print(json.dumps(summary.to_json(), indent=2) if args.json else summary.to_text())
    return 0
