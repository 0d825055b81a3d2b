"""A model to evaluate, from a checkpoint alone: its params are kept inside."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediswift_cs.checkpoints.record import Record, global_step, stored_params
from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.finetuning import build_model
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.starting_weights import starting_weights
from mediswift_cs.params.schema import ModelParams, Params
from mediswift_cs.training import checkpoint, mdl_state


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model in evaluation mode, and what its checkpoint says about it.

    Attributes:
        tokenizer_sha256: None where the checkpoint does not say.
    """

    model: MediSwiftModel
    path: Path
    step: int
    tokenizer_sha256: str | None


def load_model(path: Path, config: ModelParams | None = None) -> LoadedModel:
    """Load a dense or a sparse checkpoint; masks are applied, so that what they prune is 0.

    Args:
        config: the model's params; None reads them from the checkpoint.

    Raises:
        CheckpointError: unreadable, without params, another model's, or with weights that are not
            finite.
    """
    # The optimizer's state is twice as large as the weights.
    state = checkpoint.load_checkpoint(path, partial(mdl_state.read, leave_out=("optimizer",)))
    return loaded(state, config or model_params(state, path), path)


def loaded(state: dict[str, Any], config: ModelParams, path: Path) -> LoadedModel:
    """The model of a checkpoint's state.

    Args:
        path: what the state is from.

    Raises:
        CheckpointError: another model's, or with weights that are not finite.
    """
    model = build_model(config)
    start = starting_weights(model, state["model"])
    if start.adds_soft_prompt:
        raise CheckpointError(f"the checkpoint {path} has no soft prompt, its params ask for one")
    checkpoint.load_model_state(model, start.state, path)
    if (name := checkpoint.name_of_not_finite(model.state_dict())) is not None:
        raise CheckpointError(
            f"{name} in the checkpoint {path} is not finite, so the model has no answers; take an "
            "earlier checkpoint"
        )
    return LoadedModel(
        model=model.eval(),
        path=path,
        step=global_step(state, path) or 0,
        tokenizer_sha256=Record.read(state).tokenizer_sha256,
    )


def model_params(state: dict[str, Any], path: Path) -> ModelParams:
    """The params of the model that are kept in a checkpoint; CheckpointError without them."""
    try:
        return Params.model_validate(stored_params(state)).trainer.init.model
    except ValidationError as error:
        raise CheckpointError(
            f"the checkpoint {path} does not hold its params: give the file that it was trained "
            "with, --params FILE"
        ) from error
