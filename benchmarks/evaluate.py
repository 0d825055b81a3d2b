#!/usr/bin/env python
"""Constrained scoring of PubMedQA's test questions: this package beside lm-eval, in one run.

Same weights (random), same tokenizer, same threads, same prompts; model loading is not counted.

python benchmarks/evaluate.py --pubmedqa DIR --tokenizer DIR [--threads 1] [--num-items 500]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

MODEL = {
    "name": "mediswift_finetuning",
    "max_position_embeddings": 1024,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pubmedqa", type=Path, required=True, help="folder of ori_pqal.json")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its file or folder")
    parser.add_argument("--num-items", type=int, default=500)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--num-layers", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8, help="lm-eval's")
    parser.add_argument("--repeats", type=int, default=1)
    return parser.parse_args()


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


def run(args: argparse.Namespace, folder: Path) -> None:
    import cerebras.pytorch as cstorch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from mediswift_cs.cli import main as mediswift
    from mediswift_cs.evaluation.lm_eval_task import write_lm_eval_task
    from mediswift_cs.evaluation.loading import load_model
    from mediswift_cs.evaluation.predict import make_predictor
    from mediswift_cs.model.finetuning import build_model
    from mediswift_cs.params.schema import Params
    from mediswift_cs.tasks import pubmedqa_records, pubmedqa_split
    from mediswift_cs.tasks.official_split import select
    from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
    from mediswift_cs.tasks.prompt_folder import read_prompt_data
    from mediswift_cs.tasks.pubmedqa import PubMedQA
    from mediswift_cs.training.checkpoint import save_checkpoint

    records = pubmedqa_records.read_records(args.pubmedqa)
    test = pubmedqa_split.read_split(args.pubmedqa, 0, records).test[: args.num_items]
    write_prompt_data(
        {"test": select(records, test, PubMedQA().examples)},
        args.tokenizer,
        folder / "data",
        PromptSettings(max_sequence_length=1024, num_virtual_tokens=0),
        task=PubMedQA(),
        counts={},
        sources=(),
    )
    data = read_prompt_data(folder / "data")
    shape = {
        "vocab_size": data.layout.vocab_size,
        "hidden_size": args.hidden_size,
        "num_hidden_layers": args.num_layers,
        "num_heads": args.hidden_size // 64,
        "filter_size": 4 * args.hidden_size,
    }
    raw = {"trainer": {"init": {"model": {**MODEL, **shape}}}}
    cstorch.backend("CPU", artifact_dir=str(folder / "artifacts"))
    torch.manual_seed(0)
    model = build_model(Params.model_validate(raw).trainer.init.model)
    state = {key: value.detach() for key, value in model.state_dict().items()}
    checkpoint = folder / "checkpoint_0.mdl"
    save_checkpoint({"model": state, "__metadata__": [{"params": raw}]}, checkpoint)
    export = folder / "export"
    tokenizer = ["--tokenizer", str(data.folder / "tokenizer.json")]
    assert mediswift(["convert", str(checkpoint), str(export), *tokenizer, "--no-verify"]) == 0
    task = write_lm_eval_task(data, "test", folder / "task")

    predictor = make_predictor(load_model(checkpoint), data)
    harness = HFLM(
        pretrained=str(export), device="cpu", dtype="float32", batch_size=args.batch_size
    )
    manager = TaskManager(include_path=str(task.parent), include_defaults=False)
    found: dict[str, dict[str, list[float]]] = {}

    def ours() -> None:
        predictions = predictor.predict(data.examples("test"), "constrained")
        found["ours"] = {p.example.id: list(p.scores.values()) for p in predictions}

    def theirs() -> None:
        results = simple_evaluate(
            model=harness,
            tasks=[task.stem],
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
        )
        found["theirs"] = {
            sample["doc"]["id"]: [float(response[0][0]) for response in sample["resps"]]
            for sample in results["samples"][task.stem]
        }

    seconds = {name: median_seconds(f, args.repeats) for name, f in (("o", ours), ("l", theirs))}
    worst = max(
        abs(a - b)
        for key, values in found["ours"].items()
        for a, b in zip(values, found["theirs"][key], strict=True)
    )
    num_parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{len(test)} items, 3 choices each, {num_parameters:,} parameters, "
        f"{args.threads} threads, median of {args.repeats}"
    )
    print(f"mediswift evaluate  {seconds['o']:8.1f} s  {len(test) / seconds['o']:7.1f} items/s")
    print(f"lm-eval             {seconds['l']:8.1f} s  {len(test) / seconds['l']:7.1f} items/s")
    print(f"ratio               {seconds['l'] / seconds['o']:8.2f}  (target: at least 2)")
    print(f"largest difference of a log-likelihood: {worst:.1e} nats")


if __name__ == "__main__":
    main()
