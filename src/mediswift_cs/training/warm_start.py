"""Start a new run, at step 0, from the weights of another: dense from sparse, prompted from plain.

Masks are applied and dropped, a soft prompt is added; everything else must match, key for key.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.mdl_writer import CEREBRAS_PYTORCH_VERSION
from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.checkpoints.record import Record, SoftPromptRecord
from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.starting_weights import SOFT_PROMPT_KEY, starting_weights
from mediswift_cs.params.data_rules import prompt_disagreements
from mediswift_cs.params.schema import InitParams
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.training import checkpoint
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.masks import masked_weights

LOGGER = logging.getLogger("mediswift_cs")

CALLBACK = "LoadCheckpointStates"


def asks_for_weights_only(init: InitParams) -> bool:
    """Whether the stock callback LoadCheckpointStates asks for the model and nothing else.

    Raises:
        ConfigError: it asks for another choice, which this loop does not do.
    """
    for callback in init.callbacks:
        if callback.LoadCheckpointStates is not None:
            names = callback.LoadCheckpointStates.names
            if names not in ({"all"}, {"model"}):
                raise ConfigError(
                    f"trainer.init.callbacks: {CALLBACK} got {', '.join(sorted(names))}, allowed: "
                    "all (continue a run) or model (start a new run from its weights)"
                )
            return names == {"model"}
    return False


def is_new_start(init: InitParams, path: Path, model_dir: Path) -> bool:
    """Whether a run begins at ``path`` with a fresh optimizer, instead of continuing it.

    It does where the params say so, where a dense run is given a sparse checkpoint, whose
    optimizer has never seen the pruned weights, and where masks are made from a dense one. A run's
    own checkpoints are always continued.
    """
    own = [found.resolve() for found in list_checkpoints(model_dir)]
    if path.resolve() in own:
        return False
    if asks_for_weights_only(init):
        return True
    with MdlFile(path) as file:
        has_masks = any(key.endswith(MASK_SUFFIX) for key in file.tensors)
    if init.sparsity is not None:
        return init.sparsity.init_method == "from_zeros" and not has_masks
    return has_masks


def load_starting_weights(host: Host, path: Path, tokenizer_sha256: str | None) -> None:
    """Load the weights of ``path`` into the host's model, and log what became of masks and prompt.

    Args:
        tokenizer_sha256: of the data to train on; None is not checked.

    Raises:
        CheckpointError: keys or shapes differ otherwise, or the checkpoint was trained with another
            tokenizer or soft prompt.
    """
    model = host.model
    state = checkpoint.load_checkpoint(path, host.read)
    check_tokenizer(state, tokenizer_sha256, path)
    check_soft_prompt(model, state, path)
    sparsity = host.params.trainer.init.sparsity
    from_zeros = sparsity is not None and sparsity.init_method == "from_zeros"
    start = starting_weights(model, state["model"], from_zeros=from_zeros)
    checkpoint.load_model_state(model, start.state, path)
    if sparsity is not None:
        check_sparsity(model, sparsity.level_after(0), path)
    LOGGER.info("starting at step 0 from the weights of %s", path)
    for line in start.describe():
        LOGGER.info("%s", line)


def check_sparsity(model: MediSwiftModel, level: float, path: Path) -> None:
    """See that the masks of a checkpoint are as sparse as the params say, up to one percent.

    Raises:
        CheckpointError: they are not, so that the run would be called what it is not.
    """
    masks = [mask for _, _, mask in masked_weights(model)]
    num_weights = sum(mask.numel() for mask in masks)
    num_kept = sum(int(torch.count_nonzero(mask)) for mask in masks)
    found = 1 - num_kept / num_weights if num_weights else 0.0
    if abs(found - level) > 0.01:
        raise CheckpointError(
            f"trainer.init.sparsity.sparsity: got {level:g}, allowed: {found:.4g}, the fraction of "
            f"zeros in the masks of {path}"
        )


def check_tokenizer(
    state: Mapping[str, Any], tokenizer_sha256: str | None, path: Path, data: str = "the data"
) -> None:
    """See that data and checkpoint are of one tokenizer, where both name it.

    Raises:
        CheckpointError: they are of two.
    """
    saved = Record.read(state).tokenizer_sha256
    check_trained_with(tokenizer_sha256, saved, f"{data} were made with tokenizer", path)


def check_soft_prompt(model: MediSwiftModel, state: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError if the checkpoint's soft prompt is not of the model's kind."""
    prompt = model.config.soft_prompt
    saved_rows = state["model"].get(SOFT_PROMPT_KEY)
    if prompt is None or saved_rows is None:
        return
    # What the checkpoint does not say is taken to be the model's.
    noted = {"position": prompt.position, **(Record.read(state).soft_prompt or {})}
    num_rows = int(saved_rows.shape[0])
    saved = {**noted, "num_virtual_tokens": num_rows, "vocab_size": model.config.vocab_size}
    for key, allowed, got in prompt_disagreements(saved, model.config):
        raise CheckpointError(
            f"trainer.init.model.soft_prompt.{key}: got {got}, allowed: {allowed}, that of the "
            f"soft prompt in {path}"
        )


def own_record(
    model: MediSwiftModel, tokenizer_sha256: str | None, clipping: tuple[int, int] | None
) -> Record:
    """What a checkpoint of this package notes, for another run of it to know."""
    soft_prompt = None
    if (prompt := model.config.soft_prompt) is not None:
        soft_prompt = SoftPromptRecord(
            num_virtual_tokens=prompt.num_virtual_tokens, position=prompt.position, init=prompt.init
        )
    return Record(
        rng_state=torch.get_rng_state(),
        tokenizer_sha256=tokenizer_sha256,
        soft_prompt=soft_prompt,
        clipping=clipping,
    )


def metadata(model: MediSwiftModel, raw_params: dict[str, Any]) -> dict[str, Any]:
    """What ModelZoo's converters look for in a checkpoint, the params file as read in it."""
    return {
        "version": CEREBRAS_PYTORCH_VERSION,
        "model_name": type(model).__name__,
        "params": raw_params,
    }
