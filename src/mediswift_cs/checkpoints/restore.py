"""A Hugging Face GPT-2 folder to ``.mdl``: which numbers go where."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mediswift_cs.checkpoints import mdl_writer, number_formats
from mediswift_cs.checkpoints.blocks import (
    Block,
    PartReport,
    Place,
    Rows,
    checked,
    row_slices,
    same_numbers,
)
from mediswift_cs.checkpoints.hf_folder import FOLDED, HuggingFaceModel
from mediswift_cs.checkpoints.key_map import Rule
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.names import HEAD, SOFT_PROMPT
from mediswift_cs.checkpoints.record import Record
from mediswift_cs.checkpoints.safetensors_file import TensorRegion
from mediswift_cs.checkpoints.source import PREFIX
from mediswift_cs.errors import CheckpointError


def new_state(
    model: HuggingFaceModel, *, dtype: str | None, tokenizer_sha256: str | None
) -> dict[str, Any]:
    """The nested state of the ``.mdl`` file, with NewTensor in place of tensors.

    There is no optimizer state and the step is 0: it is a starting point, not a run to go on with.
    """
    found = sorted({model.regions[rule.hf_name].dtype for rule in model.rules})
    if dtype is None and len(found) > 1:
        raise CheckpointError(
            f"the weights of {model.folder} have several number formats, got {', '.join(found)}; "
            f"allowed: one, or a choice with --dtype"
        )
    weights: dict[str, NewTensor] = {}
    for rule in model.rules:
        stored = model.regions[rule.hf_name].dtype
        for part in rule.parts:
            for name in _names(rule, part.name):
                tensor = NewTensor(shape=part.shape, dtype=dtype or stored)
                weights[PREFIX + name] = tensor
    if model.adapter is not None:
        tensor = NewTensor(shape=model.adapter.shape, dtype=dtype or model.adapter.dtype)
        weights[PREFIX + SOFT_PROMPT] = tensor
    for name, region in model.masks.items():
        weights[PREFIX + name] = NewTensor(shape=region.shape, dtype="bool")
    folded = model.architecture.folded
    section = model.own.get("model") or folded.to_model_params()
    # The queries have been multiplied by the time that the weights are in the file.
    section = section | {key: getattr(folded, key) for key in FOLDED if key in section}
    prompt = model.soft_prompt
    record = Record(
        tokenizer_sha256=tokenizer_sha256, soft_prompt=prompt.to_record() if prompt else None
    )
    return {
        "model": weights,
        "global_step": 0,
        **record.to_state(),
        "__metadata__": [
            {
                "version": mdl_writer.CEREBRAS_PYTORCH_VERSION,
                "model_name": "GPT2LMHeadModel",
                "params": {"trainer": {"init": {"model": section}}},
            }
        ],
    }


def _names(rule: Rule, part: str | None) -> tuple[str, ...]:
    """Every ModelZoo name of one part."""
    if part is None:
        return ()
    return (part, *rule.aliases) if part == rule.parts[0].name else (part,)


def create_file(path: Path, state: Mapping[str, Any]) -> dict[str, Place]:
    """Make the ``.mdl`` file of :func:`new_state`; says where each tensor's numbers go."""
    offsets = mdl_writer.create(path, state)
    return {
        name: Place(path=path, offset=offsets[f"model.{name}"], dtype=tensor.dtype)
        for name, tensor in state["model"].items()
    }


def restore_blocks(
    model: HuggingFaceModel,
    places: Mapping[str, Place],
    reports: list[PartReport],
    *,
    allow_nan: bool,
) -> Iterator[Block]:
    """The numbers of every tensor of the file that :func:`create_file` made.

    Args:
        places: where the tensors go, by their state-dict key.
        reports: each tensor's is added when all its blocks were taken.

    Raises:
        CheckpointError: two copies of a weight differ, or there are numbers that are not converted.
    """
    words, head = model.regions["transformer.wte.weight"], model.regions.get(HEAD)
    is_tied = head is not None and model.architecture.share_embedding_weights
    if head is not None and is_tied and not same_numbers(words, head, words.shape):
        raise CheckpointError(
            f"{HEAD} in {head.path} differs, though the model ties it; allowed: the same numbers"
        )
    for rule in model.rules:
        region, start = model.regions[rule.hf_name], 0
        # The numbers of one part of a transposed matrix are scattered over all its rows.
        source: Rows = region.read().T if rule.is_transposed else region
        for part in rule.parts:
            names = _names(rule, part.name)
            yield from _region_blocks(
                region,
                source,
                slice(start, start + part.shape[0]),
                [places[PREFIX + name] for name in names],
                names[0] if names else rule.hf_name,
                reports,
                factor=part.factor,
                allow_nan=allow_nan,
            )
            start += part.shape[0]
    whole = dict(model.masks)
    if model.adapter is not None:
        whole[SOFT_PROMPT] = model.adapter
    for name, region in whole.items():
        place = places[PREFIX + name]
        rows = slice(0, region.shape[0])
        yield from _region_blocks(region, region, rows, [place], name, reports, allow_nan=allow_nan)


def _region_blocks(
    region: TensorRegion,
    source: Rows,
    part: slice,
    places: Sequence[Place],
    name: str,
    reports: list[PartReport],
    *,
    factor: float = 1.0,
    allow_nan: bool,
) -> Iterator[Block]:
    """Some rows of ``source``, written to each place; zeros that have none must be zero."""
    shape = (part.stop - part.start, *source.shape[1:])
    report = PartReport(name=name, num_elements=math.prod(shape))
    position = 0
    for rows in row_slices(shape):
        bits = source[part.start + rows.start : part.start + rows.stop]
        if not places:
            if number_formats.is_nonzero(bits, region.dtype).any():
                raise CheckpointError(
                    f"{name} in {region.path} is not zero, but the model has no such bias"
                )
            continue
        bits, dtype = number_formats.multiplied(bits, region.dtype, factor)
        path = str(region.path)
        numbers = checked(bits, dtype, places[0].dtype, report, path, allow_nan=allow_nan)
        for place in places:
            yield Block(path=place.path, offset=place.offset + position, numbers=numbers)
        position += numbers.nbytes
    reports.append(report)
