"""``run.py``: the command line that ModelZoo's users know.

Everything that can be checked without torch is checked before torch is imported.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mediswift_cs import arguments
from mediswift_cs.endings import exit_code_of
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.run_options import (
    CHECKED_DATA,
    EngineChoice,
    Mode,
    RunOptions,
    threads_of_run,
    trains,
)
from mediswift_cs.tuning import check_threads, tune

if TYPE_CHECKING:
    from mediswift_cs.params.load import LoadedParams

DESCRIPTION = """Train or evaluate a model, or check that it compiles for a CS-2.

examples:
  run.py --params mediswift_tiny_75.yaml --model_dir model_dir
  run.py CPU --params mediswift_tiny_75.yaml --mode eval --model_dir model_dir
  run.py CSX --params mediswift_xl_75.yaml --validate_only
  run.py CPU --params mediswift_tiny_75.yaml --set trainer.init.loop.max_steps=20
  run.py CPU --params mediswift_tiny_75.yaml --model_dir rates \\
      --sweep trainer.init.optimizer.AdamW.learning_rate=5e-4,1e-3,2e-3
"""

# Options of a cluster and the key of trainer.init.backend.cluster_config that each one sets.
CLUSTER_OPTIONS: dict[str, Callable[[str], object]] = {
    "num_csx": int,
    "num_workers_per_csx": int,
    "mgmt_address": str,
    "mgmt_namespace": str,
    "credentials_path": arguments.path_text,
    "job_priority": str,
    "job_time_sec": int,
}
CLUSTER_LISTS: dict[str, Callable[[str], object]] = {
    "mount_dirs": arguments.path_text,
    "python_paths": arguments.path_text,
    "job_labels": str,
}
# Measured with the largest model on two idle cores (docs/benchmarks.md): 12 seconds.
_EXPECTED_TIME = "on an idle machine less than a minute"
CLUSTER_FLAGS = ("disable_version_check",)
# Those of a compilation set keys of trainer.init.backend itself.
COMPILE_OPTIONS = ("compile_dir", "compile_only", "validate_only")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run to a parser."""
    parser.add_argument(
        "device",
        nargs="?",
        type=str.upper,
        choices=("CPU", "GPU", "CSX"),
        help="where to run; left out, the params file says it",
    )
    parser.add_argument(
        "-p",
        "--params",
        required=True,
        type=arguments.params_file,
        help="a params file, or the bare name of a shipped one",
    )
    parser.add_argument(
        "-m",
        "--mode",
        default="train_and_eval",
        choices=get_args(Mode),
        help="default: %(default)s",
    )
    parser.add_argument(
        "-o",
        "--model_dir",
        type=arguments.path,
        help="where results go; default: the params' model_dir",
    )
    parser.add_argument(
        "--checkpoint_path", type=arguments.path, help="start from this .mdl file, or evaluate it"
    )
    arguments.add_overrides(
        parser, "KEY.PATH=VALUE", "replace a value of the params file; may be given often"
    )
    arguments.add_sweep(parser)
    _add_check_arguments(parser)
    arguments.add_threads(parser)
    parser.add_argument(
        "--engine",
        default="auto",
        choices=get_args(EngineChoice),
        metavar="{auto,torch,cerebras,modelzoo}",
        help="who carries out the run: this package on plain PyTorch (CPU, GPU) or on "
        "cerebras-pytorch (CSX; CPU for testing), or ModelZoo's Trainer; auto: CPU and GPU take "
        "torch, CSX takes modelzoo where it is importable, else cerebras",
    )
    _add_cluster_arguments(parser)


def _add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    cluster = parser.add_argument_group("cluster (CSX)")
    for name, kind in CLUSTER_OPTIONS.items():
        cluster.add_argument(f"--{name}", type=kind)
    for name, kind in CLUSTER_LISTS.items():
        cluster.add_argument(f"--{name}", nargs="+", type=kind)
    for name in CLUSTER_FLAGS:
        cluster.add_argument(f"--{name}", action="store_true", default=None)


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="say what the run would do, and write nothing"
    )
    parser.add_argument(
        "--compile_only",
        action="store_true",
        default=None,
        help="CSX: compile on the cluster, do not run",
    )
    parser.add_argument(
        "--validate_only",
        action="store_true",
        default=None,
        help="CSX: check on this machine that the model compiles; needs no cluster",
    )
    parser.add_argument(
        "--json",
        type=arguments.path,
        metavar="FILE",
        help="with --validate_only: write the result there",
    )
    parser.add_argument(
        "--compile_dir", type=arguments.path_text, help="CSX: where compiled artefacts are cached"
    )


def collect_overrides(args: argparse.Namespace) -> list[str]:
    """The options that stand for keys of the params file, as ``key.path=value``."""
    backend = "trainer.init.backend"
    cluster = (*CLUSTER_OPTIONS, *CLUSTER_LISTS, *CLUSTER_FLAGS)
    keys = [(name, f"{backend}.cluster_config.{name}") for name in cluster]
    keys += [(name, f"{backend}.{name}") for name in COMPILE_OPTIONS]
    # In quotes: unlike the value of --set, a name such as 2024 or null is text.
    overrides = [
        f"{key}={json.dumps(getattr(args, name), ensure_ascii=False)}"
        for name, key in keys
        if getattr(args, name) is not None
    ]
    # Rules that depend on the device look at the one that runs.
    device = [f"{backend}.backend_type={args.device}"] if args.device else []
    return [*overrides, *args.overrides, *device]


def validate(args: argparse.Namespace, loaded: "LoadedParams", model_dir: Path) -> int:
    """``--validate_only``: 0 where the model compiles for CSX, 1 where it does not."""
    from mediswift_cs.csx import check, report
    from mediswift_cs.csx.watched_trace import seconds_since_start
    from mediswift_cs.packages import CEREBRAS, missing_package, version_of
    from mediswift_cs.progress import stages
    from mediswift_cs.storage.write import check_writable, write_json

    if args.device not in (None, "CSX"):
        raise ConfigError(
            f"--validate_only compiles for CSX, got device {args.device}, allowed: CSX or nothing"
        )
    if args.json is not None:
        check_writable(args.json)
    if version_of(CEREBRAS) is None:
        raise ConfigError(missing_package("cerebras"))
    for note in loaded.notes:
        print(note, file=sys.stderr)
    before = seconds_since_start()
    with stages(f"{loaded.source.name} for CSX", _EXPECTED_TIME) as on_stage:
        verdict = check.validate(loaded, mode=args.mode, model_dir=model_dir, on_stage=on_stage)
    verdict.wall_seconds += before
    found = report.report(loaded, verdict)
    print(report.text(found))
    if args.json is not None:
        write_json(args.json, found)
    return 0 if verdict.passed else 1


def run(args: argparse.Namespace) -> int:
    """Carry out parsed options; returns the exit code."""
    from mediswift_cs.params.load import load_params

    if args.compile_only and args.validate_only:
        raise ConfigError("got both --compile_only and --validate_only, allowed: one of them")
    check_threads(args.threads)
    if args.sweep:
        from mediswift_cs.sweep.command import run_sweep

        return run_sweep(args, collect_overrides(args), run_options)
    data = CHECKED_DATA[args.mode]
    loaded = load_params(
        args.params,
        collect_overrides(args),
        check_data="none" if args.validate_only else data,
        put_data_off=True,
    )
    init = loaded.params.trainer.init
    if args.model_dir is None and not init.model_dir:
        raise ConfigError(f"trainer.init.model_dir: got '', allowed: a folder ({loaded.source})")
    model_dir = args.model_dir or Path(init.model_dir)
    if init.backend.validate_only:
        return validate(args, loaded, model_dir)
    options = run_options(args, loaded, model_dir)
    loaded.check_data(data)
    if args.dry_run:
        from mediswift_cs.training.dry_run import describe

        print(describe(loaded, options))
        return 0
    tune(args.threads or threads_of_run(model_dir), allocator=options.device == "CPU")

    if options.engine == "modelzoo":
        from mediswift_cs.modelzoo.engine import hand_over

        return hand_over(loaded, options)

    from mediswift_cs.training.start import start

    return start(loaded, options)


def run_options(args: argparse.Namespace, loaded: "LoadedParams", model_dir: Path) -> RunOptions:
    """The choices of a run that trains or evaluates.

    Raises:
        ConfigError: nobody names a device, there is no cluster, the engine does not run on the
            device, or ``--json`` is given without ``--validate_only``.
    """
    if args.json is not None:
        raise ConfigError(f"--json {args.json} belongs to --validate_only, which is not given")
    device = args.device or loaded.params.trainer.init.backend_type
    if device is None:
        raise ConfigError(
            f"no device: give CPU, GPU or CSX as the first argument, or set "
            f"trainer.init.backend.backend_type in {loaded.source}"
        )
    if device == "CSX":
        from mediswift_cs.training.device import require_cluster

        # Before ModelZoo is looked for, which takes its time.
        require_cluster(loaded.params.trainer.init.backend)
    from mediswift_cs.modelzoo.engine import choose_engine
    from mediswift_cs.params.sparsity_rules import check_method

    engine = choose_engine(args.engine, device)
    if trains(args.mode):
        check_method(loaded.params.trainer.init, engine)
    return RunOptions(
        device=device,
        engine=engine,
        mode=args.mode,
        model_dir=model_dir,
        checkpoint_path=args.checkpoint_path,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; returns 0, 1 (job failed), 2 (wrong input) or 130 (stopped by a signal)."""
    parser = arguments.Parser(
        prog="run.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return exit_code_of(lambda: run(parser.parse_args(argv)), ends_process=argv is None)
