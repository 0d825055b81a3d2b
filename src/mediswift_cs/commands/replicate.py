"""``mediswift replicate``: the paper's claims, tried at a small scale."""

import argparse
from pathlib import Path

from mediswift_cs import arguments

HELP = """Try the claims of the MediSwift paper at a small scale: held, refuted or not shown.

Sparse, dense, smaller and shorter-trained dense models of equal training FLOPs, each at the best of
the learning rates that were tried for it, pre-trained on real PubMed abstracts and fine-tuned on
labels of NLM's indexers. Prints each claim with its numbers and writes OUTPUT/claims.json and
OUTPUT/claims.html. A second call goes on where the first one stopped. Scales: smoke
(four minutes; it shows nothing of the claims), hour (about an hour on 2 cores), night (overnight).

examples:
  mediswift replicate --scale hour --output replication --dry-run
  mediswift replicate --scale hour --output replication
  mediswift replicate --scale hour --output again --seed 2
  mediswift replicate --render docs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a replication to its parser."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scale", choices=("smoke", "hour", "night"), help="how large it is")
    what.add_argument(
        "--render",
        type=arguments.path,
        metavar="DOCS",
        help="only write DOCS/reproduce.md, from DOCS/reproduce.claims.json where it is there",
    )
    parser.add_argument(
        "--output",
        type=arguments.path,
        default=Path("replication"),
        help="folder of all results (default: replication)",
    )
    arguments.add_seed(parser, "of all runs (default: %(default)s)", default=1)
    parser.add_argument(
        "--host",
        choices=("torch", "cerebras"),
        default="torch",
        help="who carries out the runs (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="runs at a time, each with one thread (default: as many as cores are idle)",
    )
    arguments.add_own_input(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and end")
    # An error on purpose, to see that the verdicts show it.
    parser.add_argument("--plant", type=float, default=1.0, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run what is missing and print the verdicts."""
    if args.render is not None:
        from mediswift_cs.replication.page import write_docs_page

        print(write_docs_page(args.render))
        return 0
    from mediswift_cs.replication.plan import plan
    from mediswift_cs.replication.replicate import Options, experiment_of, replicate
    from mediswift_cs.tuning import default_threads

    options = Options(
        scale=args.scale,
        output=args.output,
        seed=args.seed,
        host=args.host,
        num_jobs=default_threads() if args.jobs is None else args.jobs,
        source=args.input,
        planted=args.plant,
    )
    if args.dry_run:
        print(plan(experiment_of(options), options.num_jobs))
        return 0
    return replicate(options)
