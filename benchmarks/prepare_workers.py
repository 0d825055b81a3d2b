#!/usr/bin/env python
"""How much faster `mediswift prepare` is with 2 workers than with 1, on real PubMed records.

    python benchmarks/prepare_workers.py pubmed20n0014.xml.gz pubmed21n1298.xml.gz --tokenizer gpt2/

Wall time of the whole pipeline, which means something only on a machine with two idle cores. One
worker has one thread, as each of two has. The two take turns, each run in a process of its own, and
the ratio is that of each turn.
"""

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mediswift_cs.prepare.pipeline import STAGES

NUM_PARTS = 8
LENGTH = 2048


def cut(paths: list[Path], folder: Path, num_pieces: int) -> list[Path]:
    """The records of PubMed files in ``num_pieces`` files, so that each worker has work."""
    end = b"</PubmedArticle>"
    pieces = []
    for path in paths:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        start, first, rest = content.partition(b"<PubmedArticle>")
        *records, _rest = (first + rest).split(end)
        size = -(-len(records) // (num_pieces // len(paths)))
        for number in range(0, len(records), size):
            piece = folder / f"pubmed20n{len(pieces) + 1:04}.xml.gz"
            with gzip.open(piece, "wb", compresslevel=6) as file:
                file.write(start)
                file.writelines(record + end for record in records[number : number + size])
                file.write(b"</PubmedArticleSet>")
            pieces.append(piece)
    return pieces


def pipeline_settings(
    paths: list[Path], output: Path, tokenizer: Path, workers: int, pmc: Path | None = None
) -> Any:
    """Settings of `mediswift prepare`: everything but the paths as it is by default."""
    from mediswift_cs.prepare.config import PrepareSettings

    return PrepareSettings.model_validate(
        {
            "output": output,
            **({"pubmed": {"inputs": paths}} if paths else {}),
            **({"pmc": {"inputs": [pmc]}} if pmc else {}),
            "tokenizer": {"path": tokenizer},
            "hdf5": {"max_sequence_length": LENGTH, "val_fraction": 0},
            "engine": {"workers": workers},
        }
    )


def seconds_here(pieces: list[Path], output: Path, tokenizer: Path, workers: int) -> float:
    """Wall seconds of a run over ``pieces``, from the first stage to the report."""
    from mediswift_cs.prepare.pipeline import Pipeline

    run = Pipeline(pipeline_settings(pieces, output, tokenizer, workers), chosen=STAGES)
    start = time.monotonic()
    run.run()
    return time.monotonic() - start


def seconds(pieces: list[Path], output: Path, tokenizer: Path, workers: int) -> float:
    """The same in a process of its own: nothing is loaded or cached by an earlier run."""
    command = [sys.executable, __file__, *map(str, pieces), "--tokenizer", str(tokenizer)]
    command += ["--run", str(workers), "--output", str(output)]
    one_thread = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **one_thread}
    )
    if done.returncode:
        sys.exit(f"the run with {workers} workers ended with {done.returncode}:\n{done.stderr}")
    shutil.rmtree(output)
    return float(done.stdout.splitlines()[-1])


def compare(paths: list[Path], folder: Path, tokenizer: Path, rounds: int) -> None:
    """Print the wall seconds of both in each round, and the ratios."""
    pieces = cut(paths, folder, NUM_PARTS)
    load = os.getloadavg()[0]
    ratios = []
    for number in range(1, rounds + 1):
        one, two = (seconds(pieces, folder / "by_workers", tokenizer, n) for n in (1, 2))
        ratios.append(one / two)
        print(
            f"  round {number}: 1 worker {one:.1f} s, 2 workers {two:.1f} s, {ratios[-1]:.2f}",
            flush=True,
        )
    print(
        f"mediswift prepare, {len(pieces)} parts, 2 workers over 1: median "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, "
        f"load before it: {load:.1f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, help="PubMed files")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its file or folder")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(seconds_here(args.paths, args.output, args.tokenizer, args.run))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(args.paths, Path(folder), args.tokenizer, args.rounds)


if __name__ == "__main__":
    main()
