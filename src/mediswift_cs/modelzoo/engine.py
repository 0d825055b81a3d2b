"""``run.py --engine modelzoo``: the same params file in ModelZoo's own process.

ModelZoo gets a params file with all overrides written out, and the process becomes one of
``python -m mediswift_cs.modelzoo cszoo``: its own main module, as its autorestart needs it.
"""

import copy
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.modelzoo import registration
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.run_options import Engine, EngineChoice, Mode, RunOptions, writing_to
from mediswift_cs.params.schema import InitParams
from mediswift_cs.storage.write import write_text

RESOLVED_FILE = "modelzoo_params.yaml"
INDEX_FILE = "checkpoints_index.yaml"

# Where each of this package's own engines runs.
DEVICES: dict[EngineChoice, tuple[str, ...]] = {
    "torch": ("CPU", "GPU"),
    "cerebras": ("CPU", "CSX"),
}

# The section of ``trainer`` for each mode, which is cszoo's command too, and where it names
# checkpoints.
SECTIONS: dict[Mode, tuple[str, str]] = {
    "train": ("fit", "ckpt_path"),
    "train_and_eval": ("fit", "ckpt_path"),
    "eval": ("validate", "ckpt_path"),
    "eval_all": ("validate_all", "ckpt_paths"),
}


def choose_engine(choice: EngineChoice, device: str) -> Engine:
    """Who carries out a run on ``device``; what is not there is told.

    Raises:
        ConfigError: the engine does not run on the device, or the choice is modelzoo, and ModelZoo
            or a package it needs is not there.
    """
    if choice == "modelzoo":
        registration.require_modelzoo()
        return choice
    own: Engine = "cerebras" if device == "CSX" else "torch"
    if choice == "builtin":
        print(
            f"--engine builtin is called {own} for the device {device} now; the old name goes "
            "with the next release",
            file=sys.stderr,
        )
        return own
    if choice != "auto":
        if device not in DEVICES[choice]:
            raise ConfigError(
                f"--engine {choice} runs on {' and '.join(DEVICES[choice])}, got the device "
                f"{device}, allowed: --engine {own}, or auto"
            )
        return choice
    if device != "CSX" or not registration.is_found():
        return own
    if missing := registration.missing_packages():
        print(
            f"--engine auto: ModelZoo is there, but not {', '.join(missing)}, which it needs "
            f"({registration.INSTALL_PACKAGES}); the engine cerebras runs instead",
            file=sys.stderr,
        )
        return own
    return "modelzoo"


def resolve(raw: dict[str, Any], options: RunOptions) -> dict[str, Any]:
    """A copy of checked params with the command line's choices where ModelZoo reads them.

    Raises:
        CheckpointError: there is no file at checkpoint_path.
    """
    params = copy.deepcopy(raw)
    trainer = params["trainer"]
    init = trainer["init"]
    init.pop("device", None)
    init.pop("torch", None)
    init["backend"] = {**(init.get("backend") or {}), "backend_type": options.device}
    init["model_dir"] = str(options.model_dir)
    if options.mode == "train":
        # What ModelZoo itself does in the mode train of its run.py.
        init["loop"] = {**(init.get("loop") or {"num_epochs": 1}), "eval_frequency": None}
        trainer["fit"].pop("val_dataloader", None)
    _count_batches(init, options.device)
    given = options.checkpoint_path
    if given is not None:
        if not given.is_file():
            raise CheckpointError(f"checkpoint not found: {given}")
        section, key = SECTIONS[options.mode]
        trainer[section][key] = str(given)
    return params


# Numbers of steps, which are updates in this package and batches in ModelZoo.
_STEPS = (
    ("loop", "max_steps"),
    ("loop", "num_steps"),
    ("loop", "steps_per_epoch"),
    ("loop", "eval_frequency"),
    ("checkpoint", "steps"),
    ("logging", "log_steps"),
)


def _count_batches(init: dict[str, Any], device: str) -> None:
    """Make ModelZoo's run of accumulated batches the one that the params ask for.

    Its steps are batches, its schedules count updates (trainer/callbacks/grad_accum.py). On CSX
    nothing is accumulated.
    """
    number = (init.get("loop") or {}).get("grad_accum_steps", 1)
    if number == 1 or device == "CSX":
        return
    defaults = {"eval_frequency": 1.0, "log_steps": 1}
    for section, key in _STEPS:
        steps = (init.get(section) or {}).get(key, defaults.get(key))
        # A fraction of the run stays one.
        if isinstance(steps, int):
            init[section] = {**(init.get(section) or {}), key: steps * number}


def index_checkpoints(model_dir: Path) -> None:
    """Tell ModelZoo of the checkpoints of ``model_dir`` that the built-in loop has written.

    ModelZoo 2.10 resumes from, and evaluates, what its own index lists. Where there is none, it
    means to list the files of the folder and finds none (trainer/callbacks/checkpoint.py).
    """
    from mediswift_cs.training.checkpoint import list_checkpoints

    path = model_dir / INDEX_FILE
    try:
        listed = (yaml.safe_load(path.read_text(encoding="utf-8")) or []) if path.exists() else []
        known = {Path(name).resolve() for name in listed}
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is no list of checkpoints: {error}") from error
    missing = [file for file in list_checkpoints(model_dir) if file.resolve() not in known]
    if missing:
        write_text(path, yaml.safe_dump([*listed, *map(str, missing)]))


def checkpoints_to_load(
    params: dict[str, Any], init: InitParams, mode: Mode, model_dir: Path
) -> list[Path]:
    """The local files that ModelZoo will load for resolved params: the given, or the newest."""
    from mediswift_cs.training.checkpoint import list_checkpoints

    name, key = SECTIONS[mode]
    section = params["trainer"].get(name) or {}
    if key not in section:
        own = list_checkpoints(model_dir) if init.checkpoint.autoload_last_checkpoint else []
        return own if mode == "eval_all" else own[-1:]
    given = section[key] or []
    names = [given] if isinstance(given, str) else given
    # What is in an object store, ModelZoo reads itself.
    paths = [Path(name) for name in names if "://" not in name]
    if mode != "eval_all":  # ModelZoo takes patterns in this mode only
        return paths
    return [found for path in paths for found in sorted(path.parent.glob(path.name)) or [path]]


def finished_step(init: InitParams, path: Path, num_accumulated: int = 1) -> int | None:
    """The step of the checkpoint where max_steps leaves nothing to train after it, else None.

    ModelZoo lets num_steps go before max_steps, takes the step from the checkpoint unless
    LoadCheckpointStates leaves it out, and counts no steps where it only compiles. Its steps are
    batches, of which ``num_accumulated`` make an update.
    """
    from mediswift_cs.checkpoints.mdl import MdlFile

    loop = init.loop
    chosen = [c.LoadCheckpointStates for c in init.callbacks if c.LoadCheckpointStates is not None]
    loads_step = all(states.names & {"all", "global_step"} for states in chosen)
    counts_steps = loop.num_steps is None and not init.backend.compile_only
    if loop.max_steps is None or not (loads_step and counts_steps):
        return None
    with MdlFile(path) as file:
        step = file.state.get("global_step")
    last_step = loop.max_steps * num_accumulated
    return step if isinstance(step, int) and step >= last_step else None


def hand_over(loaded: LoadedParams, options: RunOptions) -> int:
    """Become ModelZoo's ``cszoo`` with these params; returns 0 where nothing is left to train.

    What ModelZoo would end with a stack trace over, after its start, is found here.

    Raises:
        ConfigError: there is no such device here, or model_dir is not writable.
        CheckpointError: no checkpoint_path or nothing to evaluate; a checkpoint that is to be
            loaded is damaged, or ModelZoo's index in model_dir is.
    """
    from mediswift_cs.checkpoints.mdl import check_file

    params = resolve(loaded.raw, options)
    command, key = SECTIONS[options.mode]
    if options.device != "CPU":
        # ModelZoo's own errors here are stack traces.
        from mediswift_cs.training.device import check_device

        backend = loaded.params.trainer.init.backend
        check_device(options.device, options.engine, backend)
    for note in loaded.notes:
        print(note, file=sys.stderr)
    init = loaded.params.trainer.init
    checkpoints = checkpoints_to_load(params, init, options.mode, options.model_dir)
    if command != "fit" and not (checkpoints or params["trainer"][command].get(key)):
        # ModelZoo would score random weights.
        raise CheckpointError(
            f"nothing to evaluate: give --checkpoint_path, or a --model_dir with "
            f"checkpoint_*.mdl files, got {options.model_dir}"
        )
    accumulated = 1 if options.device == "CSX" else init.loop.grad_accum_steps
    for checkpoint in checkpoints:
        check_file(checkpoint)
        step = finished_step(init, checkpoint, accumulated) if command == "fit" else None
        if step is not None:
            print(
                f"nothing left to train: step {step} of {init.loop.max_steps} is done",
                file=sys.stderr,
            )
            return 0
    with writing_to(options.model_dir):
        resolved = yaml.safe_dump(params, sort_keys=False)
        path = write_text(options.model_dir / RESOLVED_FILE, resolved)
    index_checkpoints(options.model_dir)
    arguments = ["-m", "mediswift_cs.modelzoo", "cszoo", command, str(path)]
    print(
        f"engine: ModelZoo (python {' '.join(arguments)}); --engine cerebras, or torch on "
        f"CPU and GPU, takes the package's own loop",
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])
