"""What a ``.mdl`` checkpoint says about its model: architecture, masks, soft prompt, history."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from mediswift_cs.checkpoints import number_formats
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.mdl import MdlFile, OpaqueObject, StoredTensor
from mediswift_cs.checkpoints.names import SOFT_PROMPT
from mediswift_cs.checkpoints.record import (
    Position,
    Record,
    SoftPromptRecord,
    find_model_section,
    global_step,
    stored_params,
)
from mediswift_cs.checkpoints.typed import check_plain
from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.params.decoder import SoftPromptParams
from mediswift_cs.params.document import read_yaml
from mediswift_cs.params.weights import MASK_SUFFIX

PREFIX = "model."

_DEFAULT_POSITION = SoftPromptParams.model_fields["position"].default
# Sections of params that the converter and the model card read, the outer ones first.
_SECTIONS: dict[tuple[str, ...], type | UnionType] = {
    # ModelZoo's phases are a list.
    ("trainer",): dict | list,
    ("trainer", "init"): dict,
    ("trainer", "init", "backend"): dict,
    ("trainer", "init", "loop"): dict,
    ("trainer", "init", "callbacks"): list,
    ("trainer", "fit"): dict,
    ("trainer", "fit", "train_dataloader"): dict,
}


@dataclass(frozen=True, kw_only=True)
class SoftPrompt:
    """Virtual tokens: ids ``vocab_size`` to ``vocab_size + num_virtual_tokens - 1``."""

    num_virtual_tokens: int
    position: Position
    init: str = "random"

    def to_record(self) -> SoftPromptRecord:
        """What a checkpoint and a ``config.json`` note of it."""
        return SoftPromptRecord(
            num_virtual_tokens=self.num_virtual_tokens, position=self.position, init=self.init
        )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A ``.mdl`` file as the converter sees it.

    Attributes:
        tensors: weights by name, without the leading ``model.``.
        masks: masks of sparse weights (True = kept), by the weight's name.
        model_params: the ``model`` section of the params that made it.
        params: those params as a whole, where the checkpoint keeps them.
    """

    path: Path
    tensors: dict[str, StoredTensor]
    masks: dict[str, StoredTensor]
    architecture: Architecture
    soft_prompt: SoftPrompt | None
    model_params: dict[str, Any]
    params: dict[str, Any] | None
    global_step: int | None
    tokenizer_sha256: str | None

    @property
    def dtype(self) -> str:
        """The number format of the weights; CheckpointError where they differ."""
        found = sorted({tensor.dtype for tensor in self.tensors.values()})
        if len(found) > 1:
            raise CheckpointError(
                f"the weights of {self.path} have several number formats, got {', '.join(found)}; "
                f"allowed: one, or a choice with --dtype"
            )
        return found[0]


def read_checkpoint(path: Path, params_file: Path | None = None) -> Checkpoint:
    """Look at a ``.mdl`` file; no number of a weight is read.

    Raises:
        CheckpointError: damaged, or not of a model that transformers' GPT-2 can be.
    """
    with MdlFile(path) as file:
        state = file.state
    record = Record.read(state)
    params = read_params(params_file) if params_file else stored_params(state) or None
    if params is not None:
        _check_sections(params, f"the params of {params_file or path}")
    model_params = find_model_section(params)
    if params_file and model_params is None:
        raise CheckpointError(f"{params_file} has no section trainer.init.model")
    if model_params is not None:
        # The export notes it in a config.json.
        check_plain(model_params, f"the model of {params_file or path}")
    tensors, masks = _split(state["model"], path)
    number_formats.check_weights({name: t.dtype for name, t in tensors.items()}, str(path))
    architecture = Architecture.from_checkpoint(tensors, model_params, str(path))
    return Checkpoint(
        path=path,
        tensors=tensors,
        masks=masks,
        architecture=architecture,
        soft_prompt=_soft_prompt(tensors, record, model_params or {}, path),
        model_params=model_params or {},
        params=params,
        global_step=global_step(state, path),
        tokenizer_sha256=record.tokenizer_sha256,
    )


def _check_sections(params: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError where something else stands for a section that is looked into."""
    for keys, kind in _SECTIONS.items():
        section: Any = params
        for key in keys:
            section = section.get(key) if isinstance(section, dict) else None
        if section is not None and not isinstance(section, kind):
            allowed = "a list" if kind is list else "a mapping"
            raise CheckpointError(
                f"{'.'.join(keys)} in {where}: got {section!r:.80}, allowed: {allowed}"
            )


def read_params(path: Path) -> dict[str, Any]:
    """A params file as plain data; CheckpointError where it is none."""
    try:
        content = read_yaml(path)
    except ConfigError as error:
        raise CheckpointError(f"--params: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"--params {path} is not a params file")
    return content


def _split(
    model: Mapping[str, Any], path: Path
) -> tuple[dict[str, StoredTensor], dict[str, StoredTensor]]:
    """Weights and masks, without the wrapper's prefix."""
    # ModelZoo before 2.0 saved the inner model.
    prefix = PREFIX if any(key.startswith(PREFIX) for key in model) else ""
    tensors: dict[str, StoredTensor] = {}
    for key, value in model.items():
        if isinstance(value, OpaqueObject):
            raise CheckpointError(f"{key} in {path} is no tensor but a {value.type_name}")
        if not isinstance(value, StoredTensor):
            raise CheckpointError(f"{key} in {path} is no tensor but a {type(value).__name__}")
        tensors[key.removeprefix(prefix)] = value
    masks = {}
    for key in [key for key in tensors if key.endswith(MASK_SUFFIX)]:
        name = key.removesuffix(MASK_SUFFIX)
        mask = tensors.pop(key)
        if name not in tensors:
            raise CheckpointError(f"{path} has the mask {key}, but not its weight {name}")
        if mask.shape != tensors[name].shape:
            raise CheckpointError(
                f"{key} in {path} has shape {list(mask.shape)}, allowed: that of its weight, "
                f"{list(tensors[name].shape)}"
            )
        masks[name] = mask
    return tensors, masks


def _soft_prompt(
    tensors: Mapping[str, StoredTensor],
    record: Record,
    model_params: Mapping[str, Any],
    path: Path,
) -> SoftPrompt | None:
    if SOFT_PROMPT not in tensors:
        return None
    asked = model_params.get("soft_prompt")
    section = {**(asked if isinstance(asked, dict) else {}), **(record.soft_prompt or {})}
    # In params, a position that is left out is this one.
    position = section.get("position", _DEFAULT_POSITION if section else None)
    if position not in ("prefix", "infix"):
        raise CheckpointError(
            f"{path} has a soft prompt, but does not say its position: got {position!r}, "
            f"allowed: prefix, infix (model.soft_prompt.position in --params FILE)"
        )
    return SoftPrompt(
        num_virtual_tokens=tensors[SOFT_PROMPT].shape[0],
        position=position,
        init=str(section.get("init", "random")),
    )
