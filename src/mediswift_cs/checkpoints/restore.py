"""A Hugging Face GPT-2 folder to ``.mdl``: which numbers go where."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from mediswift_cs.checkpoints import key_map, mdl_writer, number_formats, safetensors_file
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.blocks import (
    Block,
    PartReport,
    Place,
    Rows,
    checked,
    row_slices,
    same_numbers,
)
from mediswift_cs.checkpoints.export import ADAPTER_NAME, MASKS_NAME, PEFT_TENSOR
from mediswift_cs.checkpoints.key_map import HEAD, SOFT_PROMPT, Rule
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.record import Position, Record
from mediswift_cs.checkpoints.safetensors_file import TensorRegion
from mediswift_cs.checkpoints.source import PREFIX, SoftPrompt
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.weights import MASK_SUFFIX

# Our part of a config.json: what GPT-2's own keys cannot say.
CONFIG_KEY = "mediswift_cs"
# Constants that transformers before 4.31 saved with the weights.
_CAUSAL_MASKS = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")
_FLAGS = ("use_projection_bias_in_attention", "use_ffn_bias_in_attention", "use_ffn_bias")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceModel:
    """A folder of transformers' GPT-2 as the converter sees it.

    Attributes:
        regions: its tensors by transformers' name.
        masks: masks that an export kept beside it, by name without the leading ``model.``.
        adapter: the soft prompt of an export with a PEFT adapter.
        num_added_tokens: the last rows of the vocabulary that are the soft prompt.
        own: what an export noted in config.json, empty for other folders.
    """

    folder: Path
    regions: dict[str, TensorRegion]
    masks: dict[str, TensorRegion]
    adapter: TensorRegion | None
    architecture: Architecture
    soft_prompt: SoftPrompt | None
    num_added_tokens: int
    own: dict[str, Any]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How its tensors are made of ModelZoo's."""
        return tuple(key_map.rules(self.architecture, num_added_tokens=self.num_added_tokens))


def read_huggingface(folder: Path) -> HuggingFaceModel:
    """Look at a folder; CheckpointError unless every tensor in it has its place in ModelZoo."""
    config = read_config(folder)
    own = config.get(CONFIG_KEY)
    own = own if isinstance(own, dict) else {}
    source = str(folder / "config.json")
    prompt = _soft_prompt(own, source)
    architecture = Architecture.from_hf_config(config, source)
    noted = own.get("model", {})
    if not isinstance(noted, dict):
        raise CheckpointError(f"{CONFIG_KEY}.model in {source}: got {noted!r}, allowed: a mapping")
    flags: dict[str, Any] = {key: False for key in _FLAGS if noted.get(key) is False}
    num_added = _num_added_tokens(own, prompt, source)
    architecture = replace(architecture, vocab_size=architecture.vocab_size - num_added, **flags)
    masks = folder / MASKS_NAME
    model = HuggingFaceModel(
        folder=folder,
        regions=_with_prefix(safetensors_file.read_folder(folder)),
        masks=safetensors_file.read_header(masks) if masks.is_file() else {},
        adapter=None if num_added else _adapter(folder, prompt, architecture.hidden_size),
        architecture=architecture,
        soft_prompt=prompt,
        num_added_tokens=num_added,
        own=own,
    )
    _check_tensors(model)
    return model


def _num_added_tokens(own: Mapping[str, Any], prompt: SoftPrompt | None, source: str) -> int:
    """How many rows of the vocabulary are virtual tokens, as an export noted it."""
    if prompt is None:
        return 0
    number, got = prompt.num_virtual_tokens, own.get("num_added_tokens")
    if type(got) is not int or got not in (0, number):
        raise CheckpointError(
            f"num_added_tokens of {CONFIG_KEY} in {source}: got {got!r}, allowed: 0 or {number}"
        )
    return got


def _adapter(folder: Path, prompt: SoftPrompt | None, width: int) -> TensorRegion | None:
    """The vectors of a soft prompt that is a PEFT adapter."""
    if prompt is None:
        return None
    path = folder / ADAPTER_NAME
    if not path.is_file():
        raise CheckpointError(f"{folder} had a soft prompt, but {path} is missing")
    found = safetensors_file.read_header(path)
    wanted: dict[str, tuple[int, ...]] = {PEFT_TENSOR: (prompt.num_virtual_tokens, width)}
    key_map.check_present({n: r.shape for n, r in found.items()}, wanted, str(path))
    return found[PEFT_TENSOR]


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a readable JSON file: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is not a model config")
    return config


def _soft_prompt(own: Mapping[str, Any], source: str) -> SoftPrompt | None:
    """What an export noted of its soft prompt."""
    noted = own.get("soft_prompt")
    if not noted:
        return None
    place = f"{CONFIG_KEY}.soft_prompt in {source}"
    try:
        prompt = SoftPrompt(**noted)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(SoftPrompt))
        raise CheckpointError(
            f"{place}: got {noted!r}, allowed: a mapping with the keys {known}"
        ) from error
    number, position = prompt.num_virtual_tokens, prompt.position
    if type(number) is not int or number < 1:
        raise CheckpointError(
            f"num_virtual_tokens of {place}: got {number!r}, allowed: a whole number from 1 on"
        )
    if position not in get_args(Position):
        raise CheckpointError(
            f"position of {place}: got {position!r}, allowed: {', '.join(get_args(Position))}"
        )
    return prompt


def _with_prefix(regions: Mapping[str, TensorRegion]) -> dict[str, TensorRegion]:
    """Under ``transformer.``, which the files of a headless GPT2Model leave out."""
    if any(name.startswith("transformer.") for name in regions):
        return dict(regions)
    return {name if name == HEAD else f"transformer.{name}": r for name, r in regions.items()}


def _check_tensors(model: HuggingFaceModel) -> None:
    wanted = {rule.hf_name: rule.hf_shape for rule in model.rules}
    source = str(model.folder)
    found = {n: r.shape for n, r in model.regions.items() if not _CAUSAL_MASKS.fullmatch(n)}
    if HEAD in found and HEAD not in wanted:
        wanted[HEAD] = wanted["transformer.wte.weight"]
    key_map.check_present(found, wanted, source)
    key_map.check_consumed(found, wanted, source)
    parts = {part.name: part.shape for rule in model.rules for part in rule.parts}
    for name, region in model.masks.items():
        weight = name.removesuffix(MASK_SUFFIX)
        if parts.get(weight) != region.shape or region.dtype != "bool":
            raise CheckpointError(f"{name} in {model.folder / MASKS_NAME} fits no weight")


def new_state(
    model: HuggingFaceModel, *, dtype: str | None, tokenizer_sha256: str | None
) -> dict[str, Any]:
    """The nested state of the ``.mdl`` file, with NewTensor in place of tensors.

    There is no optimizer state and the step is 0: it is a starting point, not a run to go on with.
    """
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
    noted = model.own.get("model")
    section = noted if isinstance(noted, dict) and noted else model.architecture.to_model_params()
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
        path, dtype = str(region.path), places[0].dtype
        numbers = checked(bits, region.dtype, dtype, report, path, allow_nan=allow_nan)
        for place in places:
            yield Block(path=place.path, offset=place.offset + position, numbers=numbers)
        position += numbers.nbytes
    reports.append(report)
