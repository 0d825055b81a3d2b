"""``mediswift plan``: what a budget pays for, or what a size costs, before anything is run."""

import argparse

from mediswift_cs import arguments

HELP = """Say what a budget pays for, or what a size costs: tokens, FLOPs, time, memory, files.

For each size and sparsity: training FLOPs, how many weights of a smaller dense model a kept weight
has to be worth (m*), days on a CS-2, hours on a GPU, and bytes. FLOPs and bytes are exact counts;
times rest on published rates, each with its source, and on an assumption where none is published.

examples:
  mediswift plan
  mediswift plan xl --sparsity 0 0.75 0.9
  mediswift plan --gpu-hours 1000 --gpu A100
  mediswift plan med large --cs-days 3 --json plan.json --plot plan.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift plan`` to its parser."""
    parser.add_argument(
        "sizes", nargs="*", metavar="SIZE", help="tiny, med, large or xl (default: all but tiny)"
    )
    parser.add_argument(
        "--sparsity",
        nargs="+",
        type=float,
        metavar="S",
        help="fractions of zeros (default: those of the shipped params files)",
    )
    budget = parser.add_argument_group("budget (one of these; default: the tokens of each size)")
    budget.add_argument("--flops", type=float, metavar="N", help="FLOPs, masked weights left out")
    budget.add_argument("--cs-days", type=float, metavar="D", help="days of one CS-2")
    budget.add_argument("--gpu-hours", type=float, metavar="H", help="hours of one GPU")
    budget.add_argument("--tokens", type=float, metavar="N", help="tokens to train on")
    parser.add_argument("--gpu", default="H100", metavar="NAME", help="H100 (default) or A100")
    parser.add_argument(
        "--cs-utilization",
        type=float,
        metavar="F",
        help="share of a CS-2's peak that training reaches (default: 0.25, an assumption)",
    )
    parser.add_argument(
        "--json", type=arguments.path, metavar="FILE", help="write the table there as well"
    )
    parser.add_argument(
        "--plot", type=arguments.path, metavar="FILE", help="draw it there (.png, .svg or .pdf)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; returns 0."""
    from mediswift_cs.params import budget as plans
    from mediswift_cs.params.budget_plot import check_format, draw_plan
    from mediswift_cs.sizes import SIZES, SPARSITY_LEVELS
    from mediswift_cs.storage.write import check_writable, write_json

    sizes = args.sizes or [name for name, size in SIZES.items() if size.is_published]
    sparsities = args.sparsity or list(SPARSITY_LEVELS.values())
    budget = plans.Budget(
        flops=args.flops, cs_days=args.cs_days, gpu_hours=args.gpu_hours, tokens=args.tokens
    )
    cs, gpu = plans.cs_system(args.cs_utilization), plans.gpu(args.gpu)
    rows = plans.plan_rows(sizes, sparsities, budget, cs, gpu)
    if args.plot:
        check_format(args.plot)
    for path in filter(None, (args.json, args.plot)):
        check_writable(path)
    print(plans.plan_text(rows, cs, gpu))
    if args.json:
        write_json(args.json, plans.plan_json(rows, budget, cs, gpu))
    if args.plot:
        print(f"wrote {draw_plan(sizes, budget, cs, gpu, args.plot)}")
    return 0
