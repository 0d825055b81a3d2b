"""Start a run: train, evaluate, or both, in one model_dir."""

import logging
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mediswift_cs.checkpoints.model_dir import LOCK_FILE, list_checkpoints
from mediswift_cs.checkpoints.record import global_step
from mediswift_cs.data.processors import make_processor
from mediswift_cs.errors import (
    INTERRUPTED_EXIT_CODE,
    CheckpointError,
    ConfigError,
    DataError,
    TrainingError,
)
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.run_options import FAILURE_FILE, Mode, RunOptions, trains
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.write import check_folder, write_json
from mediswift_cs.training import checkpoint, origin, ranks
from mediswift_cs.training.device import check_device
from mediswift_cs.training.held_out import evaluate
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.journal import configure_logging, open_journal
from mediswift_cs.training.loop import InterruptedRunError, Trainer
from mediswift_cs.training.plan import ignored_settings, schedule_warning
from mediswift_cs.training.warm_start import asks_for_weights_only, check_tokenizer, is_new_start

LOGGER = logging.getLogger("mediswift_cs")


def start(loaded: LoadedParams, options: RunOptions) -> int:
    """Run as asked; returns the exit code. Results lie in ``options.model_dir``."""
    check_device(options.device, options.engine, loaded.params.trainer.init.backend)
    model_dir = prepare_model_dir(options.model_dir)
    configure_logging(model_dir)
    for note in loaded.notes:
        LOGGER.info("%s", note)
    params = loaded.params
    if ignored := ignored_settings(params.trainer.init):
        LOGGER.warning(
            "this loop does not carry out %s; ModelZoo's Trainer does: run.py --engine modelzoo",
            ", ".join(ignored),
        )
    with _only_run(model_dir):
        if trains(options.mode):
            with _failure_written_down(model_dir):
                return train(params, loaded.raw, options)
        return score(params, options)


def _only_run(model_dir: Path) -> AbstractContextManager[None]:
    """Keep other runs out of ``model_dir``; the rank that writes does it for all."""
    if not ranks.is_main():
        return nullcontext()
    return only_process(
        model_dir / LOCK_FILE,
        f"--model_dir {model_dir} is in use by another run: wait for it, or take another folder",
    )


@contextmanager
def _failure_written_down(model_dir: Path) -> Iterator[None]:
    """Leave ``failure.json`` where the numbers of the run do not stay finite."""
    path = model_dir / FAILURE_FILE
    if ranks.is_main():
        path.unlink(missing_ok=True)
    try:
        yield
    except TrainingError as error:
        # A full disk must not hide the error.
        with suppress(DataError):
            if ranks.is_main():
                write_json(path, {"error": str(error)})
        raise


def prepare_model_dir(model_dir: Path) -> Path:
    """Make the folder of the run; ConfigError where that is not allowed."""
    if not ranks.is_main():
        return model_dir
    check_folder(model_dir, ConfigError, option="--model_dir")
    return model_dir


def make_host(params: Params, options: RunOptions, *, for_training: bool) -> Host:
    """The model on the host that ``options.engine`` names; a process makes one."""
    if options.engine == "torch":
        from mediswift_cs.training.hosts.torch.session import TorchSession

        return TorchSession(params, options.device, for_training=for_training)
    from mediswift_cs.training.hosts.cerebras.backend import create_backend
    from mediswift_cs.training.hosts.cerebras.session import Session

    artifacts = options.model_dir / "cerebras_logs"
    create_backend(options.device, params.trainer.init.backend, artifacts)
    return Session(params, for_training=for_training)


def starting_checkpoint(params: Params, options: RunOptions) -> tuple[Path | None, Path | None]:
    """The checkpoint that options or params name, and the one that training starts from.

    Raises:
        ConfigError: model_dir holds the run of another start.
    """
    given, fit = options.checkpoint_path, params.trainer.fit
    assert fit is not None
    if given is None and fit.ckpt_path is not None:
        given = Path(fit.ckpt_path)
    autoload = params.trainer.init.checkpoint.autoload_last_checkpoint and fit.loads_newest
    path = origin.choose_checkpoint(options.model_dir, given) if autoload or given else None
    return given, path


def train(params: Params, raw: dict[str, Any], options: RunOptions) -> int:
    """Train; in train_and_eval mode with an eval_frequency, evaluate on the way and at the end."""
    fit = params.trainer.fit
    assert fit is not None
    given, path = starting_checkpoint(params, options)
    host = make_host(params, options, for_training=True)
    trainer = Trainer(params, options.model_dir, raw, host)
    if path is not None:
        if is_new_start(params.trainer.init, path, options.model_dir):
            trainer.start_from(path)
        else:
            trainer.load(path)
    elif (sparsity := params.trainer.init.sparsity) and sparsity.init_method == "from_zeros":
        raise ConfigError(
            "trainer.init.sparsity.init_method: got from_zeros for a run from random weights, "
            "which have no zeros, allowed: --checkpoint_path with the weights that have them, or "
            "random, topk, checkerboard"
        )
    elif asks_for_weights_only(params.trainer.init):
        LOGGER.warning(
            "no --checkpoint_path: the params ask for the weights of one, and the run starts from "
            "random weights instead"
        )
    if ranks.is_main():
        origin.record_origin(options.model_dir, given, trainer.step)
    plan = trainer.plan()
    if warning := schedule_warning(params.trainer.init, plan):
        LOGGER.warning("%s", warning)
    val_params = fit.val_dataloader or []
    if options.mode == "train":
        val_params = []
    if trainer.step >= plan.last_step:
        LOGGER.info("nothing left to train: step %d of %d is done", trainer.step, plan.last_step)
        if trainer.step > plan.last_step or not val_params:
            return 0
    try:
        trainer.fit(val_params)
    except InterruptedRunError as stopped:
        LOGGER.info(
            "stopped at step %d of %d; the state is in %s. Give the same command again to go on.",
            *(trainer.step, plan.last_step, stopped),
        )
        return INTERRUPTED_EXIT_CODE
    folder = shlex.quote(str(options.model_dir))
    LOGGER.info(
        "to look at it: mediswift report %s --output report.html, or tensorboard --logdir %s",
        *(folder, folder),
    )
    return 0


def evaluation_sets(params: Params, mode: Mode) -> list[DataLoaderParams]:
    """The data of ``validate`` or ``validate_all``; that they are there is checked before."""
    trainer = params.trainer
    if mode == "eval_all" and trainer.validate_all is not None:
        return trainer.validate_all.val_dataloaders or []
    assert trainer.validate_ is not None
    return [trainer.validate_.val_dataloader]


def chosen_in(params: Params, mode: Mode) -> list[Path]:
    """The checkpoints that the params name for the mode; none: the model_dir's."""
    trainer = params.trainer
    names: list[str] | list[str | None]
    if mode == "eval_all":
        names = (trainer.validate_all and trainer.validate_all.ckpt_paths) or []
    else:
        names = [trainer.validate_.ckpt_path] if trainer.validate_ else []
    return [Path(name) for name in names if name is not None]


def score(params: Params, options: RunOptions) -> int:
    """Evaluate one checkpoint, or in eval_all mode each of the model_dir."""
    sets = evaluation_sets(params, options.mode)
    paths = (
        [options.checkpoint_path] if options.checkpoint_path else chosen_in(params, options.mode)
    )
    if not paths:
        paths = list_checkpoints(options.model_dir)
        if not paths:
            raise CheckpointError(
                f"nothing to evaluate: give --checkpoint_path, or a --model_dir with "
                f"checkpoint_*.mdl files, got {options.model_dir}"
            )
        if options.mode == "eval":
            paths = paths[-1:]
    host = make_host(params, options, for_training=False)
    for path in paths:
        state = checkpoint.load_checkpoint(path, host.read)
        checkpoint.load_model_state(host.model, state["model"], path)
        host.draw_masks()
        step = global_step(state, path) or 0
        LOGGER.info("evaluating %s", path)
        journal = open_journal(
            options.model_dir, first_step=step, last_step=step, log_steps=1, trains=False
        )
        with journal:
            for number, val_params in enumerate(sets):
                found = make_processor(val_params).tokenizer_sha256
                check_tokenizer(state, found, path, f"the shards in {val_params.data_dir}")
                values = evaluate(host, val_params, params.trainer.init.loop.eval_steps)
                journal.evaluation(step, values, number if len(sets) > 1 else None)
    return 0
