"""``mediswift demo``: the whole way from PubMed XML to a sparse language model, on a CPU."""

import argparse
from pathlib import Path

from mediswift_cs import arguments

HELP = """Pre-train a small sparse model on real PubMed abstracts, on this machine's CPU.

PubMed XML -> documents -> tokenizer -> HDF5 shards -> sparse pre-training -> held-out loss ->
dense fine-tuning on 1,000 labels of NLM's indexers (is the abstract about people or animals?), from
the sparse model and from random weights -> accuracy of both on held-out abstracts, beside TF-IDF
with logistic regression -> a picture -> export for transformers.
A second call goes on where the first one stopped. At most 15 minutes on 2 cores.

example:
  mediswift demo
  mediswift demo --output again --seed 2
  mediswift demo --output my_demo --level dense --num-records 10000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo to its parser."""
    parser.add_argument(
        "--output",
        type=arguments.path,
        default=Path("demo"),
        help="folder of all results (default: demo)",
    )
    parser.add_argument(
        "--level",
        choices=("dense", "50", "75"),
        default="75",
        help="percentage of weights fixed at zero (default: %(default)s)",
    )
    parser.add_argument(
        "--num-records",
        type=int,
        default=30_000,
        help="PubMed records to read; about half have an abstract (default: %(default)s, all)",
    )
    parser.add_argument(
        "--max-steps", type=int, help="optimizer steps of pre-training (default: the params file's)"
    )
    parser.add_argument(
        "--finetuning-steps",
        type=int,
        help="optimizer steps of fine-tuning (default: the params file's)",
    )
    arguments.add_seed(parser, "of weights and masks (default: the params files')")
    arguments.add_threads(parser)
    arguments.add_own_input(parser)


def run(args: argparse.Namespace) -> int:
    """Run the steps that are not done yet and print the summary."""
    from mediswift_cs.demo import Demo

    return Demo(
        output=args.output,
        level=args.level,
        num_records=args.num_records,
        max_steps=args.max_steps,
        finetuning_steps=args.finetuning_steps,
        source=args.input,
        seed=args.seed,
        num_threads=args.threads,
    ).run()
