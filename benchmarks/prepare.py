#!/usr/bin/env python
"""Speed and memory of data preparation on real PubMed records, each beside a named peer.

    python benchmarks/prepare.py
    python benchmarks/prepare.py pubmed20n0001.xml.gz --tokenizer gpt2/

Without files it takes the 30,000 records of the sample (fetched once). Each stage runs in a process
of its own, with one thread, one after the other. Rates are per second of CPU time, without imports:
what one core does, also on a busy machine. MB is the peak of that process (VmHWM). The peers do the
same work on the same input in the same run, and their numbers of records, abstracts and tokens have
to be the same, or the benchmark fails. The ratios of shards are medians of rounds in which the
sides take turns. The last lines are wall times: 2 workers beside 1.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import prepare_stages
import prepare_workers


def run_stage(
    name: str,
    paths: list[Path],
    folder: Path,
    tokenizer: Path,
    *,
    source: Path | None = None,
    pmc: Path | None = None,
) -> dict[str, float]:
    """Run a stage in a process of its own, of the package in ``source`` if that is given."""
    for name_of_output in ("out", "cache", "modelzoo_in", "modelzoo_out"):
        shutil.rmtree(folder / name_of_output, ignore_errors=True)
    command = [sys.executable, prepare_stages.__file__, name, *map(str, paths)]
    command += ["--folder", str(folder), "--tokenizer", str(tokenizer)]
    command += ["--pmc", str(pmc)] if pmc else []
    one_thread = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if source is not None:
        one_thread["PYTHONPATH"] = str(source)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **one_thread}
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(name: str, result: dict[str, float], unit: str, peer: dict[str, float] | None) -> None:
    rate = result[unit] / result["seconds"]
    line = f"{name:<44}{rate:>12,.0f} {unit}/s{result['peak_mb']:>10,.0f} MB"
    if peer is not None:
        line += f"{peer['seconds'] / result['seconds']:>9.2f}x the peer's speed"
    print(line, flush=True)


def same(ours: dict[str, float], peer: dict[str, float], *units: str) -> None:
    for unit in units:
        if ours[unit] != peer[unit]:
            sys.exit(f"not the same work: {unit} {ours[unit]} here and {peer[unit]} in the peer")


def in_turn(
    sides: dict[str, Callable[[], dict[str, float]]], rounds: int
) -> dict[str, dict[str, float]]:
    """Run all sides in turn; prints how many times as long as the first each takes, as medians.

    Returns:
        Of each side the round with the median seconds.
    """
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            results[name].append(run())
    first, *others = sides
    for name in others:
        pairs = zip(results[first], results[name], strict=True)
        ratios = [b["seconds"] / b["tokens"] / a["seconds"] * a["tokens"] for a, b in pairs]
        print(
            f"{name} / {first}, CPU seconds a token: median {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}), {rounds} rounds",
            flush=True,
        )
    return {
        name: sorted(of_side, key=lambda each: each["seconds"])[rounds // 2]
        for name, of_side in results.items()
    }


def compare(paths: list[Path], folder: Path, given: Path | None, rounds: int) -> None:
    tokenizer = given or folder / "tokenizer.json"

    def run(name: str) -> dict[str, float]:
        return run_stage(name, paths, folder, tokenizer)

    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    print(
        f"{len(paths)} file(s), {megabytes:.1f} MB compressed, rates per CPU second of one thread"
    )
    peer, ours = run("parse_elementtree"), run("parse_ours")
    same(ours, peer, "records", "abstracts")
    report("parse: ElementTree.iterparse (peer)", peer, "records", None)
    report("parse: mediswift_cs", ours, "records", peer)
    report("documents: parse, clean, deduplicate, guard, write", run("documents"), "records", None)
    if given is None:
        report("train a tokenizer of 8,192", run("train"), "documents", None)
    names = {"mediswift shards": "shards_ours", "tokenizers alone": "bare_tokenizers"}
    if find_spec("cerebras.modelzoo") is None:
        print("cerebras.modelzoo cannot be imported: put its src on PYTHONPATH for its row")
    else:
        names["cszoo data_preprocess"] = "shards_modelzoo"
    of_shards = in_turn({name: partial(run, stage) for name, stage in names.items()}, rounds)
    peer, ours = run("shards_datasets"), of_shards["mediswift shards"]
    same(ours, peer, "documents", "tokens")
    report("tokenize, group: datasets.map (peer)", peer, "tokens", None)
    report("tokenize, pack, write HDF5: mediswift_cs", ours, "tokens", peer)
    same(ours, of_shards["tokenizers alone"], "documents", "tokens")
    for name, peer in list(of_shards.items())[1:]:
        report(name, peer, "tokens", None)
    whole = run("pipeline")
    print(f"mediswift prepare, CPU seconds, {whole['records']:,.0f} records:")
    for name in ("parse", "clean", "dedup", "guard", "tokens", "hdf5"):
        print(
            f"  {name:<10}{whole[name]:>8.2f} s{whole['records'] / whole[name]:>12,.0f} records/s"
        )
    report("prepare, all stages", whole, "records", None)
    print(f"  {whole['num_tokens']:,.0f} tokens, {whole['work_mb']:,.0f} MB of work files")
    print("mediswift prepare, wall time on two cores:")
    prepare_workers.compare(paths, folder, tokenizer, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, help="PubMed files (default: the sample)")
    parser.add_argument("--tokenizer", type=Path, help="default: trains one of 8,192 tokens")
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns of sides that are compared (default: 5)"
    )
    args = parser.parse_args()
    if not args.paths:
        from mediswift_cs.corpora.sample import download_sample

        args.paths = [download_sample()]
    with tempfile.TemporaryDirectory() as folder:
        compare(args.paths, Path(folder), args.tokenizer, args.rounds)


if __name__ == "__main__":
    main()
