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
from typing import TYPE_CHECKING

import torch

from mediswift_cs.training import mdl_state

if TYPE_CHECKING:
    from mediswift_cs.tasks.prompt_folder import PromptData

# The log-likelihood of each answer, by the question's number.
Scores = dict[str, list[float]]

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


def timed(score: Callable[[], Scores], repeats: int) -> tuple[float, Scores]:
    """The median of the seconds that it takes, and the scores."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        scores = score()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), scores


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


def prepare(args: argparse.Namespace, folder: Path) -> "PromptData":
    """The first of the test questions."""
    from mediswift_cs.tasks import pubmedqa_records, pubmedqa_split
    from mediswift_cs.tasks.official_split import select
    from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
    from mediswift_cs.tasks.prompt_folder import read_prompt_data
    from mediswift_cs.tasks.pubmedqa import PubMedQA

    records = pubmedqa_records.read_records(args.pubmedqa)
    test = pubmedqa_split.read_split(args.pubmedqa, 0, records).test[: args.num_items]
    write_prompt_data(
        {"test": select(records, test, PubMedQA().examples)},
        args.tokenizer,
        folder,
        PromptSettings(max_sequence_length=1024, num_virtual_tokens=0),
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return read_prompt_data(folder)


def save_random_model(args: argparse.Namespace, vocab_size: int, folder: Path) -> tuple[Path, int]:
    """Its checkpoint and number of parameters."""
    import cerebras.pytorch as cstorch

    from mediswift_cs.model.finetuning import build_model
    from mediswift_cs.params.schema import Params
    from mediswift_cs.training.checkpoint import save_checkpoint

    shape = {
        "vocab_size": vocab_size,
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
    save_checkpoint(
        {"model": state, "__metadata__": [{"params": raw}]}, checkpoint, write=mdl_state.write
    )
    return checkpoint, sum(p.numel() for p in model.parameters())


def our_scorer(checkpoint: Path, data: "PromptData") -> Callable[[], Scores]:
    """Scores the questions with this package."""
    from mediswift_cs.evaluation.loading import load_model
    from mediswift_cs.evaluation.predict import make_predictor

    predictor = make_predictor(load_model(checkpoint), data)

    def score() -> Scores:
        predictions = predictor.predict(data.examples("test"), "constrained")
        return {p.example.id: list(p.scores.values()) for p in predictions}

    return score


def harness_scorer(
    checkpoint: Path, data: "PromptData", folder: Path, batch_size: int
) -> Callable[[], Scores]:
    """Scores the questions with lm-eval, of the same weights and prompts."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from mediswift_cs.cli import main as mediswift
    from mediswift_cs.evaluation.lm_eval_task import write_lm_eval_task

    export = folder / "export"
    tokenizer = ["--tokenizer", str(data.folder / "tokenizer.json")]
    assert mediswift(["convert", str(checkpoint), str(export), *tokenizer, "--no-verify"]) == 0
    task = write_lm_eval_task(data, "test", folder / "task")
    harness = HFLM(pretrained=str(export), device="cpu", dtype="float32", batch_size=batch_size)
    manager = TaskManager(include_path=str(task.parent), include_defaults=False)

    def score() -> Scores:
        results = simple_evaluate(
            model=harness,
            tasks=[task.stem],
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
        )
        return {
            sample["doc"]["id"]: [float(response[0][0]) for response in sample["resps"]]
            for sample in results["samples"][task.stem]
        }

    return score


def run(args: argparse.Namespace, folder: Path) -> None:
    data = prepare(args, folder / "data")
    checkpoint, num_parameters = save_random_model(args, data.layout.vocab_size, folder)
    theirs = harness_scorer(checkpoint, data, folder, args.batch_size)
    our_seconds, our_scores = timed(our_scorer(checkpoint, data), args.repeats)
    their_seconds, their_scores = timed(theirs, args.repeats)
    worst = max(
        abs(a - b)
        for key, values in our_scores.items()
        for a, b in zip(values, their_scores[key], strict=True)
    )
    num_items = len(our_scores)
    print(
        f"{num_items} items, 3 choices each, {num_parameters:,} parameters, "
        f"{args.threads} threads, median of {args.repeats}"
    )
    print(f"mediswift evaluate  {our_seconds:8.1f} s  {num_items / our_seconds:7.1f} items/s")
    print(f"lm-eval             {their_seconds:8.1f} s  {num_items / their_seconds:7.1f} items/s")
    print(f"ratio               {their_seconds / our_seconds:8.2f}  (target: at least 2)")
    print(f"largest difference of a log-likelihood: {worst:.1e} nats")


if __name__ == "__main__":
    main()
