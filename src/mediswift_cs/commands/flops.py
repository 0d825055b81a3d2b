"""``mediswift flops``: training and forward FLOPs, dense and sparse."""

import argparse

from mediswift_cs import arguments

HELP = """Print the FLOPs of training, dense and sparse, by part of the model.

example:
  mediswift flops
  mediswift flops mediswift_xl_75.yaml mediswift_med_75.yaml --softmax
  mediswift flops my_params.yaml --tokens 1048576000 --json flops.json

Without a params file: the table over all published sizes and sparsities. The counts are exact for
the matrix products; a pruned weight costs nothing, as on a CS-2.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift flops`` to its parser."""
    parser.add_argument(
        "params",
        nargs="*",
        type=arguments.params_file,
        metavar="PARAMS",
        help="params files, or bare names of shipped ones",
    )
    parser.add_argument(
        "--softmax", action="store_true", help="count the softmax too, 3 operations a score"
    )
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="tokens of the run, instead of the params' own"
    )
    parser.add_argument(
        "--json", type=arguments.path, metavar="FILE", help="write the counts there as well"
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables of FLOPs; returns the exit code 0."""
    from mediswift_cs.params.cost_tables import (
        params_report,
        params_text,
        sizes_report,
        sizes_text,
    )
    from mediswift_cs.storage.write import check_writable, write_json

    if args.json:
        check_writable(args.json)
    if args.params:
        reports = [params_report(name, args.tokens, args.softmax) for name in args.params]
        print("\n\n".join(map(params_text, reports)))
    else:
        reports = sizes_report(args.tokens)
        print(sizes_text(reports))
    if args.json:
        write_json(args.json, {"params" if args.params else "sizes": reports})
    return 0
