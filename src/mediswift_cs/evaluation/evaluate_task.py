"""One evaluation, or one for each fold with mean and spread."""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from mediswift_cs.checkpoints.mdl import check_file
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import METHODS, Prediction, make_predictor
from mediswift_cs.evaluation.report import Report, make_report
from mediswift_cs.evaluation.report_files import prepare_folder, write_report
from mediswift_cs.evaluation.tfidf import METHOD as TFIDF
from mediswift_cs.evaluation.tfidf import tfidf_predictions
from mediswift_cs.evaluation.trained_on import documents_trained_on, warning
from mediswift_cs.params.load import load_params
from mediswift_cs.storage.write import write_json
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_folder import PromptData, read_prompt_data
from mediswift_cs.tasks.registry import TASKS, find_task
from mediswift_cs.tasks.task import Task
from mediswift_cs.tuning import check_threads

FOLD = "{fold}"
FOLDS_FILE = "folds.json"
ALL_METHODS = (*METHODS, TFIDF)


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the command line says; None takes the default that its help names."""

    data: str
    task: str | None = None
    checkpoint: str | None = None
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
        report, folder = evaluate_once(options, None)
        print(report.text())
        print(folder)
        return 0
    reports = []
    for fold in range(options.num_folds):
        report, _ = evaluate_once(options, fold)
        print(f"fold {fold}: {report.metric} {report.score:.4f}, baseline {report.baseline:.4f}")
        reports.append(report)
    assert options.output is not None
    print(summarise_folds(reports, options.output))
    return 0


def check_options(options: EvaluationOptions) -> None:
    """Raise ConfigError for options that cannot be, before anything is loaded."""
    if options.task is not None:
        find_task(options.task, "--task")
    if options.method not in ALL_METHODS:
        raise ConfigError(f"--method: got {options.method!r}, allowed: {', '.join(ALL_METHODS)}")
    if (options.checkpoint is None) != (options.method == TFIDF):
        raise ConfigError(
            f"--checkpoint: got {options.checkpoint or 'nothing'}, allowed: a .mdl file, and "
            f"nothing with --method {TFIDF}, which has no model"
        )
    if options.task is not None:
        _check_convention(TASKS[options.task], options.convention)
    if options.max_batch_tokens < 1:
        raise ConfigError(f"--batch-tokens: got {options.max_batch_tokens}, allowed: at least 1")
    check_threads(options.num_threads)
    if options.num_folds is not None:
        if options.num_folds < 2:
            raise ConfigError(f"--folds: got {options.num_folds}, allowed: at least 2")
        if FOLD not in f"{options.checkpoint}{options.data}":
            raise ConfigError(f"--folds needs {FOLD} in --checkpoint or --data, got none")
        if options.output is None:
            raise ConfigError("--folds needs --output, the folder of all folds' results")


def _check_convention(task: type[Task], convention: str | None) -> None:
    if convention is None or convention in task.conventions:
        return
    if not task.conventions:
        titles = ", ".join(kind.title for kind in TASKS.values() if kind.conventions)
        raise ConfigError(f"--convention is for {titles}, got it with --task {task.name}")
    raise ConfigError(f"--convention: got {convention!r}, allowed: {', '.join(task.conventions)}")


def check_task(name: str | None, data: PromptData) -> None:
    """Raise ConfigError where the examples are of another task than --task says."""
    if name not in (None, data.task.name):
        raise ConfigError(
            f"--task: got {name}, allowed: {data.task.name}, the task of the examples in "
            f"{data.folder}"
        )


def evaluate_once(options: EvaluationOptions, fold: int | None) -> tuple[Report, Path]:
    """One report, and the folder that its files are in."""
    given = [options.data, options.checkpoint]
    if fold is not None:
        given = [text and text.replace(FOLD, str(fold)) for text in given]
    data, checkpoint = read_prompt_data(Path(str(given[0]))), given[1]
    task = data.task
    check_task(options.task, data)
    _check_convention(type(task), options.convention)
    split = options.split or default_split(data)
    examples = data.examples(split)
    if not examples:
        raise DataError(f"the split {split!r} of {data.folder} is empty")
    convention = options.convention or next(iter(task.conventions), None)
    folder = options.output or _default_folder(options.method, checkpoint, data, split, convention)
    if fold is not None:
        folder = folder / f"fold{fold}"
    recorded = {
        "task": task.name,
        "split": split,
        "method": options.method,
        "convention": convention,
        "checkpoint": checkpoint and str(Path(checkpoint).resolve()),
        "data": str(data.folder.resolve()),
        "params": options.params,
    }
    if checkpoint is not None:
        # Before a folder is made beside a checkpoint that is not there.
        check_file(Path(checkpoint))
    prepare_folder(folder, recorded, overwrite=options.overwrite)
    report = make_report(
        predictions := _predictions(options, checkpoint, data, examples),
        task=task,
        split=split,
        method=options.method,
        convention=convention,
    )
    known = None
    if checkpoint is not None:
        scored = {example.document for example in examples}
        known = documents_trained_on(Path(checkpoint), scored)
        if told := warning(known or [], len(scored)):
            print(told, file=sys.stderr)
    write_report(report, predictions, folder, recorded, known)
    return report, folder


def _predictions(
    options: EvaluationOptions, checkpoint: str | None, data: PromptData, examples: list[Example]
) -> list[Prediction]:
    if checkpoint is None:
        return tfidf_predictions(data.examples("train"), examples)
    config = None
    if options.params is not None:
        config = load_params(options.params, check_data="none").params.trainer.init.model
    predictor = make_predictor(load_model(Path(checkpoint), config), data, options.max_batch_tokens)
    # check_options has seen the method; only a static reader does not know.
    return predictor.predict(examples, METHODS[METHODS.index(options.method)])


def _default_folder(
    method: str, checkpoint: str | None, data: PromptData, split: str, convention: str | None
) -> Path:
    """Beside the checkpoint, else beside the data, under a name that says what was evaluated."""
    names = [data.task.name, split, method, *([convention] if convention else [])]
    if checkpoint is None:
        return data.folder.parent / "evaluation" / "_".join([data.folder.name, *names])
    path = Path(checkpoint)
    return path.parent / "evaluation" / "_".join([path.stem, *names])


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
