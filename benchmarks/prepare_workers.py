#!/usr/bin/env python
"""How much faster `mediswift prepare` is with 2 workers than with 1, on real PubMed records.

    python benchmarks/prepare_workers.py pubmed20n0014.xml.gz pubmed21n1298.xml.gz --tokenizer gpt2/

Wall time of the whole pipeline, which means something only on a machine with two idle cores. One
worker has one thread, as each of two has.
"""

import argparse
import gzip
import os
import tempfile
import time
from pathlib import Path

NUM_PARTS = 8


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


def seconds(pieces: list[Path], output: Path, tokenizer: Path, workers: int) -> float:
    """Wall seconds of a run over ``pieces``."""
    from prepare import pipeline_settings

    from mediswift_cs.prepare.pipeline import Pipeline

    run = Pipeline(pipeline_settings(pieces, output, tokenizer, workers))
    start = time.monotonic()
    run.run()
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, help="PubMed files")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its file or folder")
    args = parser.parse_args()
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pieces = cut(args.paths, folder, NUM_PARTS)
        one, two = (seconds(pieces, folder / f"by_{n}", args.tokenizer, n) for n in (1, 2))
    print(
        f"mediswift prepare, {NUM_PARTS} parts: 1 worker {one:.1f} s, 2 workers {two:.1f} s, "
        f"{one / two:.2f}x as fast (load before it: {load:.1f})"
    )


if __name__ == "__main__":
    main()
