"""``.mdl`` to a Hugging Face GPT-2 folder: which numbers go where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py

from mediswift_cs.checkpoints import key_map, safetensors_file
from mediswift_cs.checkpoints.blocks import Block, PartReport, Place, same_numbers
from mediswift_cs.checkpoints.joined_parts import MdlPart, joined
from mediswift_cs.checkpoints.key_map import Part, Rule
from mediswift_cs.checkpoints.mdl import open_complete, open_numbers
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.names import SOFT_PROMPT
from mediswift_cs.checkpoints.source import Checkpoint
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.weights import MASK_SUFFIX

MASKS_NAME = "sparsity_masks.safetensors"
# The vectors of the soft prompt alone: for servers that take embeddings, or as PEFT's adapter.
VECTORS_NAME = "soft_prompt.safetensors"
ADAPTER_FOLDER = "soft_prompt"
ADAPTER_NAME = f"{ADAPTER_FOLDER}/adapter_model.safetensors"
PEFT_TENSOR = "prompt_embeddings"

# By file and tensor.
Places = dict[str, dict[str, Place]]


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """The tensor files of the folder and how each tensor of them is made.

    Attributes:
        files: tensors by file, with the folder-relative file names.
        rules: how each tensor of the model's own files is made.
        dtype: number format of the weights.
        num_added_tokens: virtual tokens that are rows of the vocabulary: all, or none where the
            soft prompt is a PEFT adapter.
    """

    checkpoint: Checkpoint
    dtype: str
    files: dict[str, dict[str, NewTensor]]
    rules: tuple[Rule, ...]
    num_added_tokens: int
    shards: tuple[dict[str, NewTensor], ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensor files, headers left out."""
        return sum(tensor.num_bytes for group in self.files.values() for tensor in group.values())


def plan_export(
    checkpoint: Checkpoint,
    *,
    dtype: str | None,
    max_shard_bytes: int,
    keep_masks: bool,
    peft_adapter: bool,
) -> ExportPlan:
    """Decide which file of the Hugging Face folder holds which tensor.

    Args:
        peft_adapter: leave the soft prompt out of the vocabulary and write a PEFT adapter.

    Raises:
        CheckpointError: a tensor of the checkpoint has no place, or PEFT has no such soft prompt.
    """
    prompt = checkpoint.soft_prompt
    if peft_adapter and (prompt is None or prompt.position != "prefix"):
        raise CheckpointError(
            f"--peft-adapter: got {checkpoint.path}, which has "
            f"{'an infix' if prompt else 'no'} soft prompt, allowed: one with a prefix soft prompt"
        )
    num_added = prompt.num_virtual_tokens if prompt and not peft_adapter else 0
    rules = tuple(key_map.rules(checkpoint.architecture, num_added_tokens=num_added))
    _check_tensors(checkpoint, rules)
    chosen = dtype or checkpoint.dtype
    model = {rule.hf_name: NewTensor(shape=rule.hf_shape, dtype=chosen) for rule in rules}
    shards = safetensors_file.shard(model, max_shard_bytes)
    files = dict(zip(safetensors_file.shard_names(len(shards)), shards, strict=True))
    if prompt:
        shape = checkpoint.tensors[SOFT_PROMPT].shape
        vectors = {PEFT_TENSOR: NewTensor(shape=shape, dtype=chosen)}
        files[ADAPTER_NAME if peft_adapter else VECTORS_NAME] = vectors
    if keep_masks and checkpoint.masks:
        files[MASKS_NAME] = {
            name + MASK_SUFFIX: NewTensor(shape=mask.shape, dtype="bool")
            for name, mask in checkpoint.masks.items()
        }
    return ExportPlan(
        checkpoint=checkpoint,
        dtype=chosen,
        files=files,
        rules=rules,
        num_added_tokens=num_added,
        shards=tuple(shards),
    )


def _check_tensors(checkpoint: Checkpoint, rules: tuple[Rule, ...]) -> None:
    source = str(checkpoint.path)
    wanted = {part.name: part.shape for rule in rules for part in rule.parts if part.name}
    for rule in rules:
        wanted.update(dict.fromkeys(rule.aliases, rule.parts[0].shape))
    if checkpoint.soft_prompt is not None:
        width = checkpoint.architecture.hidden_size
        wanted[SOFT_PROMPT] = (checkpoint.soft_prompt.num_virtual_tokens, width)
    found = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    key_map.check_present(found, wanted, source)
    key_map.check_consumed(found, wanted, source)


def create_files(plan: ExportPlan, folder: Path) -> Places:
    """Make the tensor files in ``folder``, with room for the numbers; says where those go."""
    places: Places = {}
    for file, tensors in plan.files.items():
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        places[file] = safetensors_file.create(path, tensors)
    return places


def export_blocks(
    plan: ExportPlan, places: Places, reports: list[PartReport], *, allow_nan: bool
) -> Iterator[Block]:
    """The numbers of every file that :func:`create_files` made.

    The aliases come first: a checkpoint whose two copies of a weight differ is refused early.

    Args:
        reports: each tensor's is added when all its blocks were taken.

    Raises:
        CheckpointError: the two copies differ, or there are numbers that are not converted.
    """
    checkpoint = plan.checkpoint
    rules = {rule.hf_name: rule for rule in plan.rules}
    with open_complete(checkpoint.path) as file:
        _check_aliases(plan, file)
        for name, place in ((n, p) for group in places.values() for n, p in group.items()):
            rule = rules.get(name)
            if rule is None:
                parts = [_whole(checkpoint, name)]
            else:
                parts = [_part(checkpoint, part) for part in rule.parts]
            numbers = joined(
                file,
                parts,
                place.dtype,
                reports,
                is_transposed=rule is not None and rule.is_transposed,
                allow_nan=allow_nan,
            )
            yield from place.blocks(numbers)


def _check_aliases(plan: ExportPlan, file: h5py.File) -> None:
    tensors = plan.checkpoint.tensors
    for rule in plan.rules:
        for alias in rule.aliases:
            first, second = tensors[str(rule.parts[0].name)], tensors[alias]
            # One object under two names is stored once.
            if first != second and not same_numbers(
                open_numbers(file, first), open_numbers(file, second), first.shape
            ):
                raise CheckpointError(
                    f"{second.key} differs from {first.key} in {plan.checkpoint.path}; "
                    f"allowed: the same numbers, because the two are one weight"
                )


def _part(checkpoint: Checkpoint, part: Part) -> MdlPart:
    if part.name is None:
        return MdlPart(name="zeros", shape=part.shape)
    return MdlPart(
        name=part.name,
        shape=part.shape,
        tensor=checkpoint.tensors[part.name],
        mask=checkpoint.masks.get(part.name),
        factor=part.factor,
    )


def _whole(checkpoint: Checkpoint, name: str) -> MdlPart:
    """A mask, or the soft prompt in a file of its own."""
    if name == PEFT_TENSOR:
        tensor = checkpoint.tensors[SOFT_PROMPT]
    else:
        tensor = checkpoint.masks[name.removesuffix(MASK_SUFFIX)]
    return MdlPart(name=name, shape=tensor.shape, tensor=tensor)
