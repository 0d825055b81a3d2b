"""``run.py --engine modelzoo``: the same params file in ModelZoo's own process.

ModelZoo gets a params file with all overrides written out, and the process becomes one of
``python -m mediswift_cs.modelzoo cszoo``: its own main module, as its autorestart needs it.
"""

import copy
import os
import sys
from pathlib import Path
from typing import Any, Literal

import yaml

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.modelzoo import registration
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.schema import InitParams
from mediswift_cs.training.plan import Mode

Engine = Literal["auto", "builtin", "modelzoo"]

RESOLVED_FILE = "modelzoo_params.yaml"
INDEX_FILE = "checkpoints_index.yaml"

COMMANDS = {
    "train": "fit",
    "train_and_eval": "fit",
    "eval": "validate",
    "eval_all": "validate_all",
}


def uses_modelzoo(engine: Engine) -> bool:
    """Whether ModelZoo runs: ``auto`` takes it where it is importable.

    Raises:
        ConfigError: the engine is modelzoo, and ModelZoo or a package it needs is not there.
    """
    if engine == "builtin":
        return False
    if engine == "modelzoo":
        registration.require_modelzoo()
        return True
    if not registration.is_found():
        return False
    if missing := registration.missing_packages():
        print(
            f"--engine auto: ModelZoo is there, but not {', '.join(missing)}, which it needs "
            f'(pip install "mediswift_cs[modelzoo]"); the built-in loop runs instead',
            file=sys.stderr,
        )
        return False
    return True


def resolve(
    raw: dict[str, Any], *, device: str, mode: Mode, model_dir: Path, checkpoint_path: Path | None
) -> dict[str, Any]:
    """A copy of checked params with the command line's choices where ModelZoo reads them.

    Raises:
        CheckpointError: there is no file at checkpoint_path.
    """
    params = copy.deepcopy(raw)
    trainer = params["trainer"]
    init = trainer["init"]
    init.pop("device", None)
    init["backend"] = {**(init.get("backend") or {}), "backend_type": device}
    init["model_dir"] = str(model_dir)
    if mode == "train":
        # What ModelZoo itself does in the mode train of its run.py.
        init["loop"] = {**(init.get("loop") or {"num_epochs": 1}), "eval_frequency": None}
        trainer["fit"].pop("val_dataloader", None)
    if checkpoint_path is not None:
        if not checkpoint_path.is_file():
            raise CheckpointError(f"checkpoint not found: {checkpoint_path}")
        key = "ckpt_paths" if mode == "eval_all" else "ckpt_path"
        trainer[COMMANDS[mode]][key] = str(checkpoint_path)
    return params


def write_resolved(params: dict[str, Any], model_dir: Path) -> Path:
    """Write the params to ``model_dir``, complete or not at all; returns the file's path."""
    path = model_dir / RESOLVED_FILE
    partial = path.with_suffix(".partial")
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        partial.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write to --model_dir {model_dir}: {error.strerror}") from error
    return path


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
        partial = path.with_suffix(".partial")
        partial.write_text(yaml.safe_dump([*listed, *map(str, missing)]), encoding="utf-8")
        partial.replace(path)


def checkpoints_to_load(
    params: dict[str, Any], init: InitParams, mode: Mode, model_dir: Path
) -> list[Path]:
    """The local files that ModelZoo will load for resolved params: the given, or the newest."""
    from mediswift_cs.training.checkpoint import list_checkpoints

    section = params["trainer"].get(COMMANDS[mode]) or {}
    key = "ckpt_paths" if mode == "eval_all" else "ckpt_path"
    if key not in section:
        own = list_checkpoints(model_dir) if init.checkpoint.autoload_last_checkpoint else []
        return own if mode == "eval_all" else own[-1:]
    given = section[key] or []
    paths = []
    for name in [given] if isinstance(given, str) else given:
        if "://" in name:  # an object store's, which ModelZoo reads itself
            continue
        path = Path(name)
        # ModelZoo takes patterns in this mode only.
        matches = sorted(path.parent.glob(path.name)) if mode == "eval_all" else []
        paths += matches or [path]
    return paths


def finished_step(init: InitParams, path: Path) -> int | None:
    """The step of the checkpoint where max_steps leaves nothing to train after it, else None.

    ModelZoo lets num_steps go before max_steps, takes the step from the checkpoint unless
    LoadCheckpointStates leaves it out, and counts no steps where it only compiles.
    """
    from mediswift_cs.checkpoints.mdl import MdlFile

    loop = init.loop
    chosen = [c.LoadCheckpointStates for c in init.callbacks if c.LoadCheckpointStates is not None]
    loads_step = all(
        {
            name.strip().lower()
            for state in states.load_checkpoint_states
            for name in state.split(",")
        }
        & {"all", "global_step"}
        for states in chosen
    )
    if loop.num_steps is not None or loop.max_steps is None or not loads_step:
        return None
    if init.backend.compile_only:
        return None
    with MdlFile(path) as file:
        step = file.state.get("global_step")
    return step if isinstance(step, int) and step >= loop.max_steps else None


def hand_over(
    loaded: LoadedParams, *, device: str, mode: Mode, model_dir: Path, checkpoint_path: Path | None
) -> int:
    """Become ModelZoo's ``cszoo`` with these params; returns 0 where nothing is left to train.

    What ModelZoo would end with a stack trace over, after its start, is found here.

    Raises:
        ConfigError: there is no such device here, or model_dir is not writable.
        CheckpointError: no checkpoint_path, a checkpoint that is to be loaded is damaged, or
            ModelZoo's index in model_dir is.
    """
    from mediswift_cs.checkpoints.mdl import check_file

    params = resolve(
        loaded.raw, device=device, mode=mode, model_dir=model_dir, checkpoint_path=checkpoint_path
    )
    if device != "CPU":
        # ModelZoo's own errors here are stack traces.
        from mediswift_cs.training.device import check_device

        check_device(device, loaded.params.trainer.init.backend)
    for note in loaded.notes:
        print(note, file=sys.stderr)
    init = loaded.params.trainer.init
    for checkpoint in checkpoints_to_load(params, init, mode, model_dir):
        check_file(checkpoint)
        if COMMANDS[mode] == "fit" and (step := finished_step(init, checkpoint)) is not None:
            print(
                f"nothing left to train: step {step} of {init.loop.max_steps} is done",
                file=sys.stderr,
            )
            return 0
    path = write_resolved(params, model_dir)
    index_checkpoints(model_dir)
    command = ["-m", "mediswift_cs.modelzoo", "cszoo", COMMANDS[mode], str(path)]
    print(
        f"engine: ModelZoo (python {' '.join(command)}); --engine builtin takes the package's "
        f"own loop",
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *command])
