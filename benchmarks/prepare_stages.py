#!/usr/bin/env python
"""The sides that `benchmarks/prepare.py` compares, each run in a process of its own.

    python benchmarks/prepare_stages.py STAGE FILES --folder FOLDER --tokenizer FILE

The last line that it prints is JSON: what was counted, CPU seconds without imports, and peak MB.
"""

import argparse
import gzip
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
    manifest, _new = write_documents(settings, overwrite=False)
    return {
        "records": manifest["counts"]["records_read"],
        "seconds": time.process_time() - start,
    }


def train(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    from mediswift_cs.tokens.texts import documents_source
    from mediswift_cs.tokens.tokenizer_file import train_tokenizer_file

    start = time.process_time()
    source = documents_source([folder / "docs.jsonl.zst"])
    train_tokenizer_file(source, tokenizer, vocab_size=8192, min_frequency=2, overwrite=False)
    return {"documents": source.num_expected or 0, "seconds": time.process_time() - start}


def shards_ours(folder: Path, tokenizer: Path, **_: Any) -> dict[str, float]:
    from mediswift_cs.tokens.build_shards import SAMPLES_PER_SHARD, build_shards
    from mediswift_cs.tokens.texts import documents_source

    start = time.process_time()
    manifest, _new = build_shards(
        documents_source([folder / "docs.jsonl.zst"]),
        tokenizer,
        folder / "out",
        max_sequence_length=LENGTH,
        val_fraction=0,
        samples_per_shard=SAMPLES_PER_SHARD,
        overwrite=False,
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
    """`mediswift prepare` with one worker: CPU seconds of one run, and of runs of each stage."""
    from mediswift_cs.prepare.pipeline import STAGES as PIPELINE_STAGES
    from mediswift_cs.prepare.pipeline import Pipeline

    settings = pipeline_settings(paths, folder / "corpus", tokenizer, 1, pmc)
    shutil.rmtree(settings.output, ignore_errors=True)
    start = time.process_time()
    Pipeline(settings, chosen=PIPELINE_STAGES).run()
    result = {"seconds": time.process_time() - start}
    shutil.rmtree(settings.output)
    # Each of these reads what the ones before it have made, so that their sum is more.
    for name in PIPELINE_STAGES:
        start = time.process_time()
        Pipeline(settings, (name,)).run()
        result[name] = time.process_time() - start
    manifest = json.loads((folder / "corpus" / "manifest.json").read_text())
    result["records"] = manifest["counts"]["records_read"]
    result["documents"] = manifest["stages"]["guard"]["kept"]
    result["num_tokens"] = manifest["splits"]["train"]["num_tokens"]
    work = [path for path in (folder / "corpus" / "work").rglob("*") if path.is_file()]
    result["work_mb"] = sum(path.stat().st_size for path in work) / 1e6
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("paths", nargs="*", type=Path, help="PubMed files")
    parser.add_argument("--pmc", type=Path, help="a folder of articles")
    parser.add_argument("--folder", type=Path, required=True, help="where stages leave their files")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its file or folder")
    args = vars(parser.parse_args())
    result = STAGES[args.pop("stage")](**args)
    print(json.dumps({**result, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
