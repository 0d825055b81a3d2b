"""Start a new run, at step 0, from the weights of another: dense from sparse, prompted from plain.

Masks are applied and dropped, a soft prompt is added; everything else must match, key for key.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.starting_weights import MASK_SUFFIX, SOFT_PROMPT_KEY, starting_weights
from mediswift_cs.params.schema import InitParams
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.training import checkpoint

LOGGER = logging.getLogger("mediswift_cs")

CALLBACK = "LoadCheckpointStates"


def asks_for_weights_only(init: InitParams) -> bool:
    """Whether the stock callback LoadCheckpointStates asks for the model and nothing else.

    Raises:
        ConfigError: it asks for another choice, which this loop does not do.
    """
    for callback in init.callbacks:
        if callback.LoadCheckpointStates is not None:
            states = callback.LoadCheckpointStates.load_checkpoint_states
            names = {name.strip() for state in states for name in state.split(",")}
            if names not in ({"all"}, {"model"}):
                raise ConfigError(
                    f"trainer.init.callbacks: {CALLBACK} got {', '.join(sorted(names))}, allowed: "
                    "all (continue a run) or model (start a new run from its weights)"
                )
            return names == {"model"}
    return False


def is_new_start(init: InitParams, path: Path, model_dir: Path) -> bool:
    """Whether a run begins at ``path`` with a fresh optimizer, instead of continuing it.

    It does where the params say so, and where a dense run is given a sparse checkpoint, whose
    optimizer has never seen the pruned weights. A run's own checkpoints are always continued.
    """
    own = [found.resolve() for found in checkpoint.list_checkpoints(model_dir)]
    if path.resolve() in own:
        return False
    if asks_for_weights_only(init):
        return True
    if init.sparsity is not None:
        return False
    return any(key.endswith(MASK_SUFFIX) for key in checkpoint.load_checkpoint(path)["model"])


def load_starting_weights(model: MediSwiftModel, path: Path, tokenizer_sha256: str | None) -> None:
    """Load the weights of ``path`` into ``model``, and log what became of masks and prompt.

    Args:
        tokenizer_sha256: of the data to train on; None is not checked.

    Raises:
        CheckpointError: keys or shapes differ otherwise, or the checkpoint was trained with another
            tokenizer or soft prompt.
    """
    state = checkpoint.load_checkpoint(path)
    check_tokenizer(state, tokenizer_sha256, path)
    check_soft_prompt(model, state, path)
    start = starting_weights(model, state["model"])
    checkpoint.load_model_state(model, start.state, path)
    LOGGER.info("starting at step 0 from the weights of %s", path)
    for line in start.describe():
        LOGGER.info("%s", line)


def check_tokenizer(state: Mapping[str, Any], tokenizer_sha256: str | None, path: Path) -> None:
    """Raise CheckpointError if the checkpoint knows its tokenizer and it is another one."""
    saved = (state.get("mediswift") or {}).get("tokenizer_sha256")
    check_trained_with(tokenizer_sha256, saved, "the data were made with tokenizer", path)


def check_soft_prompt(model: MediSwiftModel, state: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError if the checkpoint's soft prompt is not of the model's kind."""
    prompt = model.config.soft_prompt
    saved_rows = state["model"].get(SOFT_PROMPT_KEY)
    if prompt is None or saved_rows is None:
        return
    saved = {**((state.get("mediswift") or {}).get("soft_prompt") or {})}
    saved["num_virtual_tokens"] = int(saved_rows.shape[0])
    for key in ("num_virtual_tokens", "position"):
        got = getattr(prompt, key)
        if saved.get(key, got) != got:
            raise CheckpointError(
                f"trainer.init.model.soft_prompt.{key}: got {got}, allowed: {saved[key]}, that of "
                f"the soft prompt in {path}"
            )


def soft_prompt_record(model: MediSwiftModel) -> dict[str, Any]:
    """What a checkpoint says of the soft prompt, under its key ``mediswift``."""
    prompt = model.config.soft_prompt
    if prompt is None:
        return {}
    return {"soft_prompt": prompt.model_dump(include={"num_virtual_tokens", "position", "init"})}
