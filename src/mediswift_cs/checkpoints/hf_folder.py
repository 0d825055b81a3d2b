"""A Hugging Face GPT-2 folder as the converter sees it: every part of it known, or refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from tokenizers import Tokenizer

from mediswift_cs.checkpoints import key_map, number_formats, safetensors_file
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.export import ADAPTER_NAME, MASKS_NAME, PEFT_TENSOR
from mediswift_cs.checkpoints.hf_config import read_architecture
from mediswift_cs.checkpoints.key_map import Rule
from mediswift_cs.checkpoints.names import HEAD
from mediswift_cs.checkpoints.record import Position
from mediswift_cs.checkpoints.safetensors_file import TensorRegion
from mediswift_cs.checkpoints.source import SoftPrompt
from mediswift_cs.checkpoints.tokenizer_files import virtual_tokens
from mediswift_cs.checkpoints.typed import read_object
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.tokens.manifest import TOKENIZER_NAME
from mediswift_cs.tokens.tokenizer import load_tokenizer

# Our part of a config.json: what GPT-2's own keys cannot say.
CONFIG_KEY = "mediswift_cs"
_OWN_KINDS = {"model": dict, "soft_prompt": dict | None, "prompt": dict | None}
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Constants that transformers before 4.31 saved with the weights.
_CAUSAL_MASKS = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")
# What only the params of an export tell; what they tell of the source that the export has folded,
# or of training; and what its tensors tell where the params do not.
_FLAGS = ("use_projection_bias_in_attention", "use_ffn_bias_in_attention", "use_ffn_bias")
FOLDED = ("attention_type", "scale_qk_dot_by_layer_idx")
_RATES = ("dropout_rate", "attention_dropout_rate", "embedding_dropout_rate", "initializer_range")
_FREE = {*_FLAGS, *FOLDED, *_RATES}
_FROM_TENSORS = {
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "filter_size",
    "max_position_embeddings",
}


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
    config, source = read_config(folder), str(folder / "config.json")
    own = _own(config, source)
    prompt = _soft_prompt(own, source)
    num_added = _num_added_tokens(own, prompt, source)
    architecture = _noted(read_architecture(config, source), own.get("model"), num_added, source)
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


def _own(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What an export noted, its parts of the types that they have; {} in other folders."""
    own = config.get(CONFIG_KEY, {})
    if not isinstance(own, dict):
        raise CheckpointError(f"{CONFIG_KEY} in {source}: got {own!r:.80}, allowed: a mapping")
    for key, kind in _OWN_KINDS.items():
        if not isinstance(own.get(key, {} if kind is dict else None), kind):
            raise CheckpointError(
                f"{CONFIG_KEY}.{key} in {source}: got {own[key]!r:.80}, allowed: a mapping"
            )
    sha256 = own.get("tokenizer_sha256")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise CheckpointError(
            f"{CONFIG_KEY}.tokenizer_sha256 in {source}: got {sha256!r:.80}, allowed: 64 "
            f"hexadecimal digits or null"
        )
    return own


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


def _noted(
    shape: Architecture, section: dict[str, Any] | None, num_added: int, source: str
) -> Architecture:
    """The decoder of a config with what only an export's note of its params can say.

    Raises:
        CheckpointError: the two contradict each other.
    """
    if num_added >= shape.vocab_size:
        raise CheckpointError(
            f"num_virtual_tokens of {CONFIG_KEY}.soft_prompt in {source}: got {num_added}, "
            f"allowed: less than vocab_size {shape.vocab_size}"
        )
    shape = shape.model_copy(update={"vocab_size": shape.vocab_size - num_added})
    if not section:
        return shape
    where = f"{CONFIG_KEY}.model in {source}"
    noted = Architecture.from_params(section, where, shape.model_dump(include=_FROM_TENSORS))
    for key in Architecture.model_fields.keys() - _FREE:
        if getattr(noted, key) != getattr(shape, key):
            raise CheckpointError(
                f"{key} of {where}: got {getattr(noted, key)!r}, allowed: {getattr(shape, key)!r}, "
                f"as the rest of the file says"
            )
    return shape.model_copy(update={key: getattr(noted, key) for key in _FLAGS})


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
    return read_object(folder / "config.json")


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
    if not isinstance(prompt.init, str):
        raise CheckpointError(f"init of {place}: got {prompt.init!r:.80}, allowed: a text")
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
    weights = {name: model.regions[name].dtype for name in wanted}
    if model.adapter is not None:
        weights[PEFT_TENSOR] = model.adapter.dtype
    number_formats.check_weights(weights, source)
    parts = {part.name: part.shape for rule in model.rules for part in rule.parts}
    for name, region in model.masks.items():
        weight = name.removesuffix(MASK_SUFFIX)
        if parts.get(weight) != region.shape or region.dtype != "bool":
            raise CheckpointError(f"{name} in {model.folder / MASKS_NAME} fits no weight")


def puts_prompt_in_place(model: HuggingFaceModel, token_ids: Sequence[int]) -> bool:
    """Whether the folder's own tokenizer gives the ids that the model was trained with.

    True as well where there is nothing to ask: no tokenizer, or no virtual tokens in it.
    """
    file, prompt = model.folder / TOKENIZER_NAME, model.soft_prompt
    if prompt is None or not model.num_added_tokens or not file.is_file():
        return True
    tokenizer = Tokenizer.from_file(str(file))
    text = load_tokenizer(file).decode(list(token_ids))
    size, names = model.architecture.vocab_size, virtual_tokens(model.num_added_tokens)
    virtual = list(range(size, size + model.num_added_tokens))
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    if prompt.position == "prefix":
        return bool(tokenizer.encode(text).ids == [*virtual, *plain])
    return bool(tokenizer.encode(text + "".join(names)).ids == [*plain, *virtual])
