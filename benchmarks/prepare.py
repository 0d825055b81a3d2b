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
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import prepare_workers
from prepare_workers import LENGTH, pipeline_settings


def parse_ours(paths: list[Path], **_: Any) -> dict[str, float]:
    from mediswift_cs.corpora.pubmed import Record, read_pubmed

    counts = {"records": 0.0, "abstracts": 0.0}
    start = time.process_time()
    for path in paths:
        for item in read_pubmed(path):
            if isinstance(item, Record):
                counts["records"] += 1
                counts["abstracts"] += bool(item.abstract)
    return {**counts, "seconds": time.process_time() - start}


def parse_elementtree(paths: list[Path], **_: Any) -> dict[str, float]:
    """The standard library's streaming parser: title, abstract, languages and types as text."""
    counts = {"records": 0.0, "abstracts": 0.0}
    start = time.process_time()
    for path in paths:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag != "PubmedArticle":
                    continue
                article = element.find("MedlineCitation/Article")
                counts["records"] += 1
                if article is not None:
                    "".join(article.find("ArticleTitle").itertext())  # type: ignore[union-attr]
                    [e.text for e in article.iterfind("Language")]
                    [e.text for e in article.iterfind("PublicationTypeList/*")]
                    sections = article.iterfind("Abstract/AbstractText")
                    abstract = "\n".join(" ".join("".join(e.itertext()).split()) for e in sections)
                    counts["abstracts"] += bool(abstract)
                element.clear()
    return {**counts, "seconds": time.process_time() - start}


def documents(paths: list[Path], folder: Path, **_: Any) -> dict[str, float]:
    from mediswift_cs.prepare.config import PrepareSettings
    from mediswift_cs.prepare.documents import write_documents

    settings = PrepareSettings.model_validate(
        {
            "output": folder / "docs.jsonl.zst",
            "pubmed": {"inputs": paths},
            "engine": {"workers": 1},
        }
    )
    start = time.process_time()
    manifest, _new = write_documents(settings)
    return {
        "records": manifest["counts"]["records_read"],
        "seconds": time.process_time() - start,
    }


def train(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    from mediswift_cs.tokens.texts import documents_source
    from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file

    start = time.process_time()
    source = documents_source([folder / "docs.jsonl.zst"])
    train_tokenizer_file(source, tokenizer, vocab_size=8192)
    return {"documents": source.num_expected or 0, "seconds": time.process_time() - start}


def shards_ours(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    from mediswift_cs.tokens.build_shards import build_shards
    from mediswift_cs.tokens.texts import documents_source

    start = time.process_time()
    manifest, _new = build_shards(
        documents_source([folder / "docs.jsonl.zst"]),
        tokenizer,
        folder / "out",
        max_sequence_length=LENGTH,
        val_fraction=0,
    )
    split = manifest.splits["train"]
    return {
        "documents": split.num_documents,
        "tokens": split.num_tokens,
        "seconds": time.process_time() - start,
    }


def shards_datasets(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    """What transformers' language modelling examples do: map a tokenizer, then group the ids."""
    import datasets
    from transformers import PreTrainedTokenizerFast

    from mediswift_cs.tokens.tokenizer import EOS, load_tokenizer, save_tokenizer

    save_tokenizer(load_tokenizer(tokenizer), folder / "peer.json")
    fast = PreTrainedTokenizerFast(tokenizer_file=str(folder / "peer.json"), eos_token=EOS)
    num_tokens = 0

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        ids = fast(batch["text"], return_attention_mask=False, return_token_type_ids=False)
        return {"input_ids": [[*row, fast.eos_token_id] for row in ids["input_ids"]]}

    def group(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        nonlocal num_tokens
        stream = [i for row in batch["input_ids"] for i in row]
        num_tokens += len(stream)
        rows = [stream[i : i + LENGTH] for i in range(0, len(stream), LENGTH)]
        return {"input_ids": rows, "labels": rows}

    datasets.disable_progress_bars()
    start = time.process_time()
    data = datasets.load_dataset(
        "json",
        data_files=str(folder / "docs.jsonl.zst"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    num_documents = len(data)
    data = data.map(tokenize, batched=True, remove_columns=data.column_names)
    data.map(group, batched=True)
    return {
        "documents": num_documents,
        "tokens": num_tokens,
        "seconds": time.process_time() - start,
    }


def shards_modelzoo(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    """What `cszoo data_preprocess run` calls, with the settings of its own example files."""
    from cerebras.modelzoo.data_preparation.data_preprocessing.preprocess_data import (
        preprocess_data,
    )
    from transformers import PreTrainedTokenizerFast

    from mediswift_cs.corpora.documents_file import read_documents
    from mediswift_cs.tokens.tokenizer import EOS, load_tokenizer, save_tokenizer

    (folder / "modelzoo_in").mkdir()
    documents = folder / "docs.jsonl.zst"
    shutil.copyfile(documents, folder / "modelzoo_in" / documents.name)
    num_documents = sum(1 for _document in read_documents(documents))
    save_tokenizer(load_tokenizer(tokenizer), folder / "peer.json")
    fast = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "peer.json"), eos_token=EOS, pad_token=EOS
    )
    fast.save_pretrained(folder / "peer")
    params = {
        "setup": {
            "data": {"source": str(folder / "modelzoo_in"), "type": "local"},
            "output_dir": str(folder / "modelzoo_out"),
            "processes": 1,
            "mode": "pretraining",
        },
        "processing": {
            "huggingface_tokenizer": str(folder / "peer"),
            "max_seq_length": LENGTH,
            "write_in_batch": True,
            "read_hook": "cerebras.modelzoo.data_preparation.data_preprocessing.hooks:"
            "text_read_hook",
            "read_hook_kwargs": {"text_key": "text"},
            "shuffle": False,
            "use_ftfy": False,
        },
        "dataset": {"pack_sequences": True},
    }
    start = time.process_time()
    preprocess_data(params)
    seconds = time.process_time() - start
    report = json.loads((folder / "modelzoo_out" / "data_params.json").read_text())
    num_tokens = report["post-process"]["num_tokens"]
    return {"documents": num_documents, "tokens": num_tokens, "seconds": seconds}


def bare_tokenizers(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    """What no preparation can be faster than: the tokenizer alone, on texts in memory."""
    from mediswift_cs.corpora.documents_file import read_documents
    from mediswift_cs.tokens.tokenizer import load_tokenizer

    texts = [document.text for document in read_documents(folder / "docs.jsonl.zst")]
    loaded = load_tokenizer(tokenizer)
    num_tokens = 0
    start = time.process_time()
    for first in range(0, len(texts), 1024):
        batch = loaded.encode_batch_fast(texts[first : first + 1024], add_special_tokens=False)
        num_tokens += sum(len(encoding.ids) + 1 for encoding in batch)
    seconds = time.process_time() - start
    return {"documents": len(texts), "tokens": num_tokens, "seconds": seconds}


def pipeline(
    paths: list[Path], folder: Path, tokenizer: Path, pmc: Path | None, **_: Any
) -> dict[str, float]:
    """`mediswift prepare` with one worker: CPU seconds of each stage."""
    from mediswift_cs.prepare.pipeline import STAGES as PIPELINE_STAGES
    from mediswift_cs.prepare.pipeline import Pipeline

    shutil.rmtree(folder / "corpus", ignore_errors=True)
    settings = pipeline_settings(paths, folder / "corpus", tokenizer, 1, pmc)
    result: dict[str, float] = {}
    for name in PIPELINE_STAGES:
        start = time.process_time()
        run = Pipeline(settings, (name,))
        run.run()
        result[name] = time.process_time() - start
    manifest = json.loads((folder / "corpus" / "manifest.json").read_text())
    result["records"] = manifest["counts"]["records_read"]
    result["documents"] = manifest["stages"]["guard"]["kept"]
    result["num_tokens"] = manifest["splits"]["train"]["num_tokens"]
    work = [path for path in (folder / "corpus" / "work").rglob("*") if path.is_file()]
    result["work_mb"] = sum(path.stat().st_size for path in work) / 1e6
    result["seconds"] = sum(result[name] for name in PIPELINE_STAGES)
    return result


STAGES: dict[str, Callable[..., dict[str, float]]] = {
    "parse_ours": parse_ours,
    "parse_elementtree": parse_elementtree,
    "documents": documents,
    "train": train,
    "shards_ours": shards_ours,
    "shards_datasets": shards_datasets,
    "shards_modelzoo": shards_modelzoo,
    "bare_tokenizers": bare_tokenizers,
    "pipeline": pipeline,
}


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


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
    command = [sys.executable, __file__, *map(str, paths), "--stage", name]
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
    parser.add_argument("--pmc", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        result = STAGES[args.stage](
            paths=args.paths, folder=args.folder, tokenizer=args.tokenizer, pmc=args.pmc
        )
        print(json.dumps({**result, "peak_mb": peak_mb()}))
        return
    if not args.paths:
        from mediswift_cs.corpora.sample import download_sample

        args.paths = [download_sample()]
    with tempfile.TemporaryDirectory() as folder:
        compare(args.paths, Path(folder), args.tokenizer, args.rounds)


if __name__ == "__main__":
    main()
