"""``mediswift run --sweep``: everything is checked for each value before the first run begins."""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mediswift_cs.errors import JOB_FAILED_EXIT_CODE, ConfigError
from mediswift_cs.params.load import LoadedParams, load_params
from mediswift_cs.params.run_options import (
    CHECKED_DATA,
    Mode,
    RunOptions,
    threads_of_run,
    writing_to,
)
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.read import read_json_object
from mediswift_cs.storage.write import check_writable
from mediswift_cs.sweep.report import REPORT_FILE, Report
from mediswift_cs.sweep.runs import Run, carry_out
from mediswift_cs.sweep.values import OPTION, Swept, parse_sweep
from mediswift_cs.tuning import NUM_THREADS, check_threads, default_threads

LOCK_FILE = "sweep.lock"
MODE: Mode = "train_and_eval"

OptionsOf = Callable[[argparse.Namespace, LoadedParams, Path], RunOptions]


def run_sweep(args: argparse.Namespace, overrides: Sequence[str], options_of: OptionsOf) -> int:
    """Carry out the runs of a sweep and write its report; returns the exit code.

    Args:
        args: the options of a run.
        overrides: those of them that stand for keys of the params file.
        options_of: reads device and engine from them.

    Raises:
        ConfigError: an option, a value or the data is wrong; nothing was run.
    """
    _refuse_options(args)
    swept = parse_sweep(args.sweep)
    if any(text.partition("=")[0].strip() == swept.key for text in args.overrides):
        raise ConfigError(f"{OPTION} {swept.key}: the key is in --set too, allowed: one of both")
    loaded = _load(args.params, overrides, swept)
    model_dir = args.model_dir or Path(loaded[0].params.trainer.init.model_dir)
    options = options_of(args, loaded[0], model_dir)
    if options.engine == "modelzoo":
        raise ConfigError(
            f"{OPTION} with the engine modelzoo, whose Trainer keeps its records in other files, "
            "allowed: --engine torch or cerebras"
        )
    _check_data(loaded)
    folders = [model_dir / swept.folder_of(value) for value in swept.values]
    start = () if args.checkpoint_path is None else ("--checkpoint_path", str(args.checkpoint_path))
    threads = _num_threads(args.threads, folders)
    command = (
        *("run", options.device, "--params", args.params, "--engine", options.engine, *start),
        *(() if threads is None else ("--threads", str(threads))),
        *(part for text in overrides for part in ("--set", text)),
    )
    runs = [
        Run(
            value=value,
            loaded=each,
            folder=folder,
            command=(*command, "--model_dir", str(folder), "--set", f"{swept.key}={value.text}"),
            checkpoint_path=args.checkpoint_path,
        )
        for value, each, folder in zip(swept.values, loaded, folders, strict=True)
    ]
    with writing_to(model_dir):
        check_writable(model_dir / REPORT_FILE)
    with only_process(model_dir / LOCK_FILE, f"--model_dir {model_dir} is in use by another sweep"):
        _refuse_other_sweep(model_dir, swept)
        report = Report(swept, runs, carry_out(swept, runs))
        paths = report.write(model_dir)
    print(f"\n{report.text()}\n" + "\n".join(map(str, paths)))
    return JOB_FAILED_EXIT_CODE if report.lowest is None else 0


def _refuse_options(args: argparse.Namespace) -> None:
    """What does not go with a sweep."""
    if args.mode != MODE:
        raise ConfigError(
            f"{OPTION} with --mode {args.mode}, allowed: {MODE}, as it compares held-out losses of "
            "the runs that it trains"
        )
    for option in ("--validate_only", "--compile_only", "--dry-run", "--json"):
        if getattr(args, option.removeprefix("--").replace("-", "_")):
            raise ConfigError(f"got both {OPTION} and {option}, allowed: one of them")
    if "LOCAL_RANK" in os.environ:
        raise ConfigError(f"{OPTION} under torchrun, allowed: one process, which starts the runs")
    check_threads(args.threads)


def _load(params: str, overrides: Sequence[str], swept: Swept) -> list[LoadedParams]:
    """The params of each run.

    Raises:
        ConfigError: with one line for each problem of any value.
    """
    loaded, problems = [], []
    for value in swept.values:
        try:
            each = load_params(params, [*overrides, f"{swept.key}={value.text}"], check_data="none")
        except ConfigError as error:
            problems += str(error).splitlines()
            continue
        problems += _not_comparable(each)
        loaded.append(each)
    _refuse(problems)
    return loaded


def _not_comparable(loaded: LoadedParams) -> Iterable[str]:
    """What a run lacks for a held-out loss that can be compared with another's."""
    init, fit = loaded.params.trainer.init, loaded.params.trainer.fit
    where = f"(in {loaded.source.name})"
    if not init.model_dir:
        yield f"trainer.init.model_dir: got '', allowed: a folder {where}"
    if init.backend.validate_only or init.backend.compile_only:
        yield f"trainer.init.backend: got validate_only or compile_only, allowed: neither {where}"
    if fit is not None and not fit.val_dataloader:
        yield f"trainer.fit.val_dataloader: got nothing, allowed: held-out data {where}"
    if not init.loop.eval_frequency:
        yield f"trainer.init.loop.eval_frequency: got none, allowed: a number above 0 {where}"
    if init.seed is None:
        yield f"trainer.init.seed: got null, allowed: a number, the same for every run {where}"


def _check_data(loaded: Sequence[LoadedParams]) -> None:
    """Check the data folders, once where the runs have the same data and model."""
    problems, seen = [], []
    for each in loaded:
        trainer = each.params.trainer
        asked = (trainer.fit, trainer.validate_, trainer.validate_all, trainer.init.model)
        if asked in seen:
            continue
        seen.append(asked)
        try:
            each.check_data(CHECKED_DATA[MODE])
        except ConfigError as error:
            problems += str(error).splitlines()
    _refuse(problems)


def _refuse(problems: Iterable[str]) -> None:
    if lines := list(dict.fromkeys(problems)):
        raise ConfigError("\n".join(lines))


def _refuse_other_sweep(model_dir: Path, swept: Swept) -> None:
    path = model_dir / REPORT_FILE
    found = read_json_object(path).get("key") if path.exists() else swept.key
    if found != swept.key:
        raise ConfigError(
            f"--model_dir {model_dir} holds a sweep of {found}, got one of {swept.key}, allowed: "
            "another folder"
        )


def _num_threads(given: int | None, folders: Sequence[Path]) -> int | None:
    """The threads of every run, as sums are rounded otherwise on others; None: OMP_NUM_THREADS."""
    begun = next(filter(None, map(threads_of_run, folders)), None)
    if given or begun or NUM_THREADS in os.environ:
        return given or begun
    return default_threads()
