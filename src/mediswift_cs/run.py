"""``run.py``: the command line that ModelZoo's users know.

Everything that can be checked without torch is checked before torch is imported.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mediswift_cs.errors import ConfigError, MediSwiftError

DESCRIPTION = """Train or evaluate a model, or check that it compiles for a CS-2.

examples:
  run.py --params mediswift_tiny_75.yaml --model_dir model_dir
  run.py CPU --params mediswift_tiny_75.yaml --mode eval --model_dir model_dir
  run.py CSX --params mediswift_xl_75.yaml --validate_only
  run.py CPU --params mediswift_tiny_75.yaml --set trainer.init.loop.max_steps=20
"""

# A training step allocates and frees the same large blocks over and over; keeping them in the
# process saves a quarter of a CPU step that would go into page faults. glibc reads these once, at
# the start of a process.
ALLOCATOR_SETTINGS = {
    "MALLOC_TOP_PAD_": "536870912",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_MMAP_THRESHOLD_": "100000000000",
}

# Options of a cluster and the key of trainer.init.backend.cluster_config that each one sets.
CLUSTER_OPTIONS = {
    "num_csx": int,
    "num_workers_per_csx": int,
    "mgmt_address": str,
    "mgmt_namespace": str,
    "credentials_path": str,
    "job_priority": str,
    "job_time_sec": int,
}
CLUSTER_LISTS = ("mount_dirs", "python_paths", "job_labels")
CLUSTER_FLAGS = ("disable_version_check",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    parser.add_argument(
        "device",
        nargs="?",
        type=str.upper,
        choices=("CPU", "GPU", "CSX"),
        help="where to run; left out, the params file says it",
    )
    parser.add_argument(
        "-p", "--params", required=True, help="a params file, or the bare name of a shipped one"
    )
    parser.add_argument(
        "-m",
        "--mode",
        default="train_and_eval",
        choices=("train", "eval", "train_and_eval", "eval_all"),
        help="default: %(default)s",
    )
    parser.add_argument(
        "-o", "--model_dir", type=Path, help="where results go; default: the params' model_dir"
    )
    parser.add_argument(
        "--checkpoint_path", type=Path, help="start from this .mdl file, or evaluate it"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        help="replace a value of the params file; may be given often",
    )
    parser.add_argument(
        "--compile_only", action="store_true", help="CSX: compile on the cluster, do not run"
    )
    parser.add_argument(
        "--validate_only",
        action="store_true",
        help="CSX: check on this machine that the model compiles; needs no cluster",
    )
    parser.add_argument("--compile_dir", help="CSX: where compiled artefacts are cached")
    parser.add_argument(
        "--engine",
        default="auto",
        choices=("auto", "builtin", "modelzoo"),
        help="the package's own loop, or ModelZoo's Trainer; auto takes ModelZoo where it is "
        "importable; --validate_only is always the package's own",
    )
    cluster = parser.add_argument_group("cluster (CSX)")
    for name, kind in CLUSTER_OPTIONS.items():
        cluster.add_argument(f"--{name}", type=kind)
    for name in CLUSTER_LISTS:
        cluster.add_argument(f"--{name}", nargs="+")
    for name in CLUSTER_FLAGS:
        cluster.add_argument(f"--{name}", action="store_true")


def collect_overrides(args: argparse.Namespace) -> list[str]:
    """The options that stand for keys of the params file, as ``key.path=value``."""
    backend = "trainer.init.backend"
    overrides = []
    for name in (*CLUSTER_OPTIONS, *CLUSTER_LISTS):
        if (value := getattr(args, name)) is not None:
            overrides.append(f"{backend}.cluster_config.{name}={value}")
    for name in CLUSTER_FLAGS:
        if getattr(args, name):
            overrides.append(f"{backend}.cluster_config.{name}=true")
    for name in ("compile_only", "validate_only"):
        if getattr(args, name):
            overrides.append(f"{backend}.{name}=true")
    if args.compile_dir is not None:
        overrides.append(f"{backend}.compile_dir={args.compile_dir}")
    return [*overrides, *args.overrides]


def tune_allocator() -> None:
    """Start this process again with the allocator's settings, unless they are there already."""
    if os.environ.get("MEDISWIFT_DEFAULT_ALLOCATOR") == "1":
        return
    if any(name not in os.environ for name in ALLOCATOR_SETTINGS):
        sys.stdout.flush()
        sys.stderr.flush()
        environment = {**ALLOCATOR_SETTINGS, **os.environ}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def run(args: argparse.Namespace) -> int:
    """Carry out parsed options; returns the exit code."""
    from mediswift_cs.params.load import load_params

    if args.compile_only and args.validate_only:
        raise ConfigError("got both --compile_only and --validate_only, allowed: one of them")
    checked = {"train": "train", "train_and_eval": "both"}.get(args.mode, "eval")
    if args.validate_only:
        checked = "none"
    loaded = load_params(args.params, collect_overrides(args), check_data=checked)
    init = loaded.params.trainer.init
    device = args.device or init.backend_type
    if device is None:
        raise ConfigError(
            f"no device: give CPU, GPU or CSX as the first argument, or set "
            f"trainer.init.backend.backend_type in {loaded.source}"
        )
    if device == "CPU":
        tune_allocator()
    model_dir = args.model_dir or Path(init.model_dir)

    if not args.validate_only:
        from mediswift_cs.modelzoo import engine

        if engine.uses_modelzoo(args.engine):
            return engine.hand_over(
                loaded,
                device=device,
                mode=args.mode,
                model_dir=model_dir,
                checkpoint_path=args.checkpoint_path,
            )

    from mediswift_cs.training.start import RunOptions, start

    return start(
        loaded,
        RunOptions(
            device=device,
            mode=args.mode,
            model_dir=model_dir,
            checkpoint_path=args.checkpoint_path,
        ),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; returns 0, 1 (job failed), 2 (wrong input) or 130 (stopped by a signal)."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except MediSwiftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
