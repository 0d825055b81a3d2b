"""A Hugging Face GPT-2 folder to ``.mdl``: which numbers go where."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from mediswift_cs import __version__
from mediswift_cs.checkpoints import key_map, mdl_writer, safetensors_file
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.export import ADAPTER_FOLDER, ADAPTER_NAME, MASKS_NAME, PEFT_TENSOR
from mediswift_cs.checkpoints.from_safetensors import CompareRegions, FromSafetensors
from mediswift_cs.checkpoints.key_map import HEAD, SOFT_PROMPT, Rule
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.place import Place
from mediswift_cs.checkpoints.safetensors_file import TensorRegion
from mediswift_cs.checkpoints.source import PREFIX, Position, SoftPrompt
from mediswift_cs.checkpoints.workers import Job
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
        own: what an export noted in config.json, empty for other folders.
    """

    folder: Path
    regions: dict[str, TensorRegion]
    masks: dict[str, TensorRegion]
    adapter: TensorRegion | None
    architecture: Architecture
    soft_prompt: SoftPrompt | None
    own: dict[str, Any]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How its tensors are made of ModelZoo's."""
        prompt = self.soft_prompt
        num_added = prompt.num_virtual_tokens if prompt and prompt.position == "infix" else 0
        return tuple(key_map.rules(self.architecture, num_added_tokens=num_added))


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
    num_added = prompt.num_virtual_tokens if prompt and prompt.position == "infix" else 0
    architecture = replace(architecture, vocab_size=architecture.vocab_size - num_added, **flags)
    masks = folder / MASKS_NAME
    adapter = folder / ADAPTER_FOLDER / ADAPTER_NAME
    adapter_region = None
    if prompt is not None and prompt.position == "prefix":
        if not adapter.is_file():
            raise CheckpointError(f"{folder} had a soft prompt, but {adapter} is missing")
        found = safetensors_file.read_header(adapter)
        wanted: dict[str, tuple[int, ...]] = {
            PEFT_TENSOR: (prompt.num_virtual_tokens, architecture.hidden_size)
        }
        key_map.check_present({n: r.shape for n, r in found.items()}, wanted, str(adapter))
        adapter_region = found[PEFT_TENSOR]
    model = HuggingFaceModel(
        folder=folder,
        regions=_with_prefix(safetensors_file.read_folder(folder)),
        masks=safetensors_file.read_header(masks) if masks.is_file() else {},
        adapter=adapter_region,
        architecture=architecture,
        soft_prompt=prompt,
        own=own,
    )
    _check_tensors(model)
    return model


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
    own: dict[str, Any] = {"version": __version__, "tokenizer_sha256": tokenizer_sha256}
    if model.soft_prompt is not None:
        own["soft_prompt"] = vars(model.soft_prompt)
    return {
        "model": weights,
        "global_step": 0,
        "mediswift": own,
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


def restore_jobs(
    model: HuggingFaceModel,
    state: Mapping[str, Any],
    path: Path,
    offsets: Mapping[str, int],
    *,
    allow_nan: bool,
) -> list[Job]:
    """How to fill the ``.mdl`` file at ``path`` that ``mdl_writer.create`` made of ``state``."""

    def place(name: str) -> Place:
        tensor = state["model"][PREFIX + name]
        return Place(path=path, offset=offsets[f"model.{PREFIX}{name}"], dtype=tensor.dtype)

    jobs: list[Job] = []
    words = model.regions["transformer.wte.weight"]
    if HEAD in model.regions and model.architecture.share_embedding_weights:
        jobs.append(CompareRegions(name=HEAD, first=words, second=model.regions[HEAD]))
    for rule in model.rules:
        jobs += _rule_jobs(model.regions[rule.hf_name], rule, place, allow_nan)
    whole = dict(model.masks)
    if model.adapter is not None:
        whole[SOFT_PROMPT] = model.adapter
    jobs += [
        FromSafetensors(
            name=name,
            source=region,
            is_transposed=False,
            start=0,
            stop=region.shape[0],
            places=(place(name),),
            allow_nan=allow_nan,
        )
        for name, region in whole.items()
    ]
    return jobs


def _rule_jobs(
    source: TensorRegion, rule: Rule, place: Callable[[str], Place], allow_nan: bool
) -> Iterator[FromSafetensors]:
    """One job for each part of a tensor of transformers."""
    start = 0
    for number, part in enumerate(rule.parts):
        stop = start + part.shape[0]
        yield FromSafetensors(
            name=part.name or f"{rule.hf_name} part {number}",
            source=source,
            is_transposed=rule.is_transposed,
            start=start,
            stop=stop,
            places=tuple(place(name) for name in _names(rule, part.name)),
            allow_nan=allow_nan,
            must_be_zero=part.name is None,
        )
        start = stop
