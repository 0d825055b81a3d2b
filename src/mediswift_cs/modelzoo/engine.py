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

from mediswift_cs.endings import send_what_is_put_off
from mediswift_cs.errors import CheckpointError, ConfigError, DataError
from mediswift_cs.modelzoo import registration
from mediswift_cs.params.document import read_yaml
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.run_options import Engine, EngineChoice, Mode, RunOptions, writing_to
from mediswift_cs.params.schema import InitParams
from mediswift_cs.storage.read import check_strings
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
    given = options.checkpoint_path
    if given is not None:
        if not given.is_file():
            raise CheckpointError(f"checkpoint not found: {given}")
        section, key = SECTIONS[options.mode]
        trainer[section][key] = str(given)
    return params


# Numbers of steps, which are updates in this package and batches in ModelZoo.
_STEPS = (
    ("loop", "num_steps"),
    ("loop", "eval_frequency"),
    ("checkpoint", "steps"),
    ("logging", "log_steps"),
)


def count_batches(init: dict[str, Any], device: str, done: int | None) -> None:
    """Make ModelZoo's run of accumulated batches the one that the params ask for.

    Its steps are batches; its schedules and the step in its checkpoints count updates
    (trainer/callbacks/grad_accum.py, loop.py). On CSX nothing is accumulated.

    Args:
        init: the section of the params, which is changed.
        done: updates that the checkpoint has which the run goes on from; None: not known.

    Raises:
        ConfigError: the length is given in epochs, which ModelZoo makes shorter than they are, or
            in all, and nobody knows how much of it is done.
    """
    loop = init.get("loop") or {}
    number = loop.get("grad_accum_steps", 1)
    if number == 1 or device == "CSX":
        return
    for key in ("num_epochs", "steps_per_epoch"):
        if loop.get(key) is not None:
            raise ConfigError(
                f"trainer.init.loop.{key}: got {loop[key]}, allowed: nothing beside "
                f"grad_accum_steps {number} with --engine modelzoo, where an epoch would end after "
                f"a part of its batches; give max_steps or num_steps"
            )
    defaults = {"eval_frequency": 1.0, "log_steps": 1}
    for section, key in _STEPS:
        steps = (init.get(section) or {}).get(key, defaults.get(key))
        # A fraction of the run stays one.
        if isinstance(steps, int):
            init[section] = {**(init.get(section) or {}), key: steps * number}
    if (last := loop.get("max_steps")) is not None:
        if done is None and loop.get("num_steps") is None:
            raise ConfigError(
                f"trainer.init.loop.max_steps: got {last}, allowed: num_steps in its place beside "
                f"grad_accum_steps {number} with --engine modelzoo, where the steps of a "
                "checkpoint in an object store are not known"
            )
        # What is left is the difference to the step of the checkpoint.
        left = None if done is None else done + max(0, last - done) * number
        init["loop"]["max_steps"] = left


def index_checkpoints(model_dir: Path) -> None:
    """Tell ModelZoo of the checkpoints of ``model_dir`` that the built-in loop has written.

    ModelZoo 2.10 resumes from, and evaluates, what its own index lists. Where there is none, it
    means to list the files of the folder and finds none (trainer/callbacks/checkpoint.py).
    """
    from mediswift_cs.checkpoints.model_dir import list_checkpoints

    path = model_dir / INDEX_FILE
    try:
        listed = check_strings((read_yaml(path) or []) if path.exists() else [], str(path))
    except (ConfigError, DataError) as error:
        raise CheckpointError(f"{error} (ModelZoo's list of checkpoints)") from error
    known = {Path(name).resolve() for name in listed}
    missing = [file for file in list_checkpoints(model_dir) if file.resolve() not in known]
    if missing:
        write_text(path, yaml.safe_dump([*listed, *map(str, missing)]))


def checkpoints_to_load(
    params: dict[str, Any], init: InitParams, mode: Mode, model_dir: Path
) -> list[Path]:
    """The local files that ModelZoo will load for resolved params: the given, or the newest."""
    from mediswift_cs.checkpoints.model_dir import list_checkpoints

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


def steps_done(init: InitParams, path: Path) -> int:
    """The updates that ModelZoo counts as done where it loads the checkpoint; 0 if it does not.

    It takes the step from the checkpoint unless LoadCheckpointStates leaves it out.
    """
    from mediswift_cs.checkpoints.mdl import MdlFile
    from mediswift_cs.checkpoints.record import global_step

    chosen = [c.LoadCheckpointStates for c in init.callbacks if c.LoadCheckpointStates is not None]
    if not all(states.names & {"all", "global_step"} for states in chosen):
        return 0
    with MdlFile(path) as file:
        return global_step(file.state, path) or 0


def is_finished(init: InitParams, done: int) -> bool:
    """Whether max_steps leaves nothing to train after so many updates.

    ModelZoo lets num_steps go before max_steps, and counts no steps where it only compiles.
    """
    loop = init.loop
    counts_steps = loop.num_steps is None and not init.backend.compile_only
    return counts_steps and loop.max_steps is not None and done >= loop.max_steps


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
    for checkpoint in checkpoints:
        check_file(checkpoint)
    if command == "fit":
        is_remote = "://" in str(params["trainer"]["fit"].get("ckpt_path"))
        done = steps_done(init, checkpoints[0]) if checkpoints else None if is_remote else 0
        if done is not None and is_finished(init, done):
            print(
                f"nothing left to train: step {done} of {init.loop.max_steps} is done",
                file=sys.stderr,
            )
            return 0
        count_batches(params["trainer"]["init"], options.device, done)
    return _become_cszoo(command, params, options.model_dir)


def _become_cszoo(command: str, params: Any, model_dir: Path) -> int:
    """Write the params that ModelZoo is to read, and replace this process by ``cszoo``."""
    with writing_to(model_dir):
        path = write_text(model_dir / RESOLVED_FILE, yaml.safe_dump(params, sort_keys=False))
    index_checkpoints(model_dir)
    arguments = ["-m", "mediswift_cs.modelzoo", "cszoo", command, str(path)]
    print(
        f"engine: ModelZoo (python {' '.join(arguments)}); --engine cerebras, or torch on "
        f"CPU and GPU, takes the package's own loop",
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()
    send_what_is_put_off()
    os.execv(sys.executable, [sys.executable, *arguments])
