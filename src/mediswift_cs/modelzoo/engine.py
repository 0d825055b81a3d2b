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

Engine = Literal["auto", "builtin", "modelzoo"]
Mode = Literal["train", "eval", "train_and_eval", "eval_all"]

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


def hand_over(
    loaded: LoadedParams, *, device: str, mode: Mode, model_dir: Path, checkpoint_path: Path | None
) -> int:
    """Become ModelZoo's ``cszoo`` with these params; does not return.

    Raises:
        ConfigError: there is no such device here, or model_dir is not writable.
        CheckpointError: no checkpoint_path, or ModelZoo's index in model_dir is damaged.
    """
    params = resolve(
        loaded.raw, device=device, mode=mode, model_dir=model_dir, checkpoint_path=checkpoint_path
    )
    if device != "CPU":
        # ModelZoo's own errors here are stack traces.
        from mediswift_cs.training.device import check_device

        check_device(device, loaded.params.trainer.init.backend)
    for note in loaded.notes:
        print(note, file=sys.stderr)
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
