"""One evaluation, or one for each fold with mean and spread."""

import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch

from mediswift_cs.checkpoints.mdl import check_file
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import METHODS, make_predictor
from mediswift_cs.evaluation.report import Report, make_report
from mediswift_cs.evaluation.report_files import prepare_folder, write_report
from mediswift_cs.params.load import load_params
from mediswift_cs.storage.write import write_json
from mediswift_cs.tasks.prompt_folder import PromptData, read_prompt_data
from mediswift_cs.tasks.registry import TASKS

FOLD = "{fold}"
FOLDS_FILE = "folds.json"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the command line says; None takes the default that its help names."""

    task: str
    checkpoint: str
    data: str
    split: str | None = None
    method: str = "constrained"
    convention: str | None = None
    num_folds: int | None = None
    params: str | None = None
    output: Path | None = None
    overwrite: bool = False
    max_batch_tokens: int = 4096
    num_threads: int | None = None


def evaluate(options: EvaluationOptions) -> int:
    """Evaluate, print and write the results; returns the exit code.

    Raises:
        ConfigError, DataError, CheckpointError: wrong options, data or checkpoint.
    """
    check_options(options)
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    if options.num_folds is None:
        report, folder = evaluate_once(options, options.checkpoint, options.data, None)
        print(report.text())
        print(folder)
        return 0
    reports = []
    for fold in range(options.num_folds):
        checkpoint = options.checkpoint.replace(FOLD, str(fold))
        data_folder = options.data.replace(FOLD, str(fold))
        report, _ = evaluate_once(options, checkpoint, data_folder, fold)
        print(f"fold {fold}: {report.metric} {report.score:.4f}, baseline {report.baseline:.4f}")
        reports.append(report)
    assert options.output is not None
    print(summarise_folds(reports, options.output))
    return 0


def check_options(options: EvaluationOptions) -> None:
    """Raise ConfigError for options that cannot be, before anything is loaded."""
    if options.task not in TASKS:
        raise ConfigError(f"--task: got {options.task!r}, allowed: {', '.join(TASKS)}")
    if options.method not in METHODS:
        raise ConfigError(f"--method: got {options.method!r}, allowed: {', '.join(METHODS)}")
    _check_convention(options.task, options.convention)
    if options.max_batch_tokens < 1:
        raise ConfigError(f"--batch-tokens: got {options.max_batch_tokens}, allowed: at least 1")
    num_cpus = os.cpu_count() or 1
    # OpenMP starts as many threads as it is told to, and hangs or dies of too many.
    if options.num_threads is not None and not 1 <= options.num_threads <= num_cpus:
        raise ConfigError(
            f"--threads: got {options.num_threads}, allowed: 1 to {num_cpus}, the number of CPUs"
        )
    if options.num_folds is not None:
        if options.num_folds < 2:
            raise ConfigError(f"--folds: got {options.num_folds}, allowed: at least 2")
        if FOLD not in options.checkpoint + options.data:
            raise ConfigError(f"--folds needs {FOLD} in --checkpoint or --data, got none")
        if options.output is None:
            raise ConfigError("--folds needs --output, the folder of all folds' results")


def _check_convention(task: str, convention: str | None) -> None:
    conventions = TASKS[task].conventions
    if convention is None or convention in conventions:
        return
    if not conventions:
        titles = ", ".join(kind.title for kind in TASKS.values() if kind.conventions)
        raise ConfigError(f"--convention is for {titles}, got it with --task {task}")
    raise ConfigError(f"--convention: got {convention!r}, allowed: {', '.join(conventions)}")


def evaluate_once(
    options: EvaluationOptions, checkpoint: str, data_folder: str, fold: int | None
) -> tuple[Report, Path]:
    """One report, and the folder that its files are in."""
    data = read_prompt_data(Path(data_folder))
    task = data.task
    if task.name != options.task:
        raise ConfigError(
            f"--task: got {options.task}, allowed: {task.name}, the task of the examples in "
            f"{data.folder}"
        )
    split = options.split or default_split(data)
    examples = data.examples(split)
    if not examples:
        raise DataError(f"the split {split!r} of {data.folder} is empty")
    config = None
    if options.params is not None:
        config = load_params(options.params, check_data="none").params.trainer.init.model
    # check_options has seen the method; only a static reader does not know.
    method = METHODS[METHODS.index(options.method)]
    convention = options.convention or next(iter(task.conventions), None)
    names = [Path(checkpoint).stem, task.name, split, method, *([convention] if convention else [])]
    # Beside the checkpoint, under a name that says what was evaluated.
    folder = options.output or Path(checkpoint).parent / "evaluation" / "_".join(names)
    if fold is not None:
        folder = folder / f"fold{fold}"
    recorded = {
        "task": task.name,
        "split": split,
        "method": method,
        "convention": convention,
        "checkpoint": str(Path(checkpoint).resolve()),
        "data": str(data.folder.resolve()),
        "params": options.params,
    }
    # Before a folder is made beside a checkpoint that is not there.
    check_file(Path(checkpoint))
    prepare_folder(folder, recorded, overwrite=options.overwrite)
    loaded = load_model(Path(checkpoint), config)
    predictor = make_predictor(loaded, data, options.max_batch_tokens)
    predictions = predictor.predict(examples, method)
    report = make_report(predictions, task=task, split=split, method=method, convention=convention)
    write_report(report, predictions, folder, recorded)
    return report, folder


def default_split(data: PromptData) -> str:
    """The test set where there is one."""
    return "test" if (data.folder / "test.jsonl").is_file() else "val"


def summarise_folds(reports: list[Report], folder: Path) -> str:
    """Mean and spread over folds, written to ``folds.json`` and returned as a line."""
    scores = [report.score for report in reports]
    summary = {
        "metric": reports[0].metric,
        "split": reports[0].split,
        "method": reports[0].method,
        "folds": scores,
        "mean": statistics.fmean(scores),
        "standard_deviation": statistics.stdev(scores),
        "minimum": min(scores),
        "maximum": max(scores),
        "mean_baseline": statistics.fmean(report.baseline for report in reports),
    }
    write_json(folder / FOLDS_FILE, summary)
    return (
        f"{summary['metric']} over {len(scores)} folds, split {summary['split']}: mean "
        f"{summary['mean']:.4f}, standard deviation {summary['standard_deviation']:.4f}, "
        f"{summary['minimum']:.4f} to {summary['maximum']:.4f}, mean baseline "
        f"{summary['mean_baseline']:.4f}"
    )
