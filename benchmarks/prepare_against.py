#!/usr/bin/env python
"""CPU seconds of `mediswift prepare` here and in another checkout, in turn.

    python benchmarks/prepare_against.py pubmed20n0014.xml.gz --against OTHER/src --tokenizer gpt2/
    python benchmarks/prepare_against.py --pmc articles/ --against OTHER/src --tokenizer gpt2/

One worker with one thread, each run in a process of its own; the ratios are those of each round.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from prepare import in_turn, report, run_stage


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, help="PubMed files")
    parser.add_argument("--pmc", type=Path, help="a folder of articles")
    parser.add_argument("--against", type=Path, required=True, help="src of the other checkout")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its file or folder")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def run(source: Path) -> dict[str, float]:
            result = run_stage(
                "pipeline", args.paths, Path(folder), args.tokenizer, source=source, pmc=args.pmc
            )
            return {**result, "tokens stage": result["tokens"], "tokens": result["num_tokens"]}

        here = Path(__file__).resolve().parent.parent / "src"
        sides = {"mediswift prepare": partial(run, here), "the other": partial(run, args.against)}
        for name, result in in_turn(sides, args.rounds).items():
            report(name, result, "records", None)
            print("  " + ", ".join(f"{key} {value:,.2f}" for key, value in result.items()))


if __name__ == "__main__":
    main()
