"""``.mdl`` to a Hugging Face GPT-2 folder: which numbers go where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.checkpoints import key_map, safetensors_file
from mediswift_cs.checkpoints.from_mdl import CompareMdl, FromMdl, MdlPart
from mediswift_cs.checkpoints.key_map import SOFT_PROMPT, Part, Rule
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.place import Place
from mediswift_cs.checkpoints.source import Checkpoint
from mediswift_cs.checkpoints.workers import Job
from mediswift_cs.params.weights import MASK_SUFFIX

MASKS_NAME = "sparsity_masks.safetensors"
ADAPTER_FOLDER = "soft_prompt"
ADAPTER_NAME = "adapter_model.safetensors"
PEFT_TENSOR = "prompt_embeddings"

# File -> tensor -> byte offset of its numbers.
Offsets = dict[str, dict[str, int]]


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """The tensor files of the folder and how each tensor of them is made.

    Attributes:
        files: tensors by file, with the folder-relative file names.
        rules: how each tensor of the model's own files is made.
        dtype: number format of the weights.
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
    checkpoint: Checkpoint, *, dtype: str | None, max_shard_bytes: int, keep_masks: bool
) -> ExportPlan:
    """Lay the files out; CheckpointError unless every tensor of the checkpoint has its place."""
    prompt = checkpoint.soft_prompt
    num_added = prompt.num_virtual_tokens if prompt and prompt.position == "infix" else 0
    rules = tuple(key_map.rules(checkpoint.architecture, num_added_tokens=num_added))
    _check_tensors(checkpoint, rules)
    chosen = dtype or checkpoint.dtype
    model = {rule.hf_name: NewTensor(shape=rule.hf_shape, dtype=chosen) for rule in rules}
    shards = safetensors_file.shard(model, max_shard_bytes)
    files = dict(zip(safetensors_file.shard_names(len(shards)), shards, strict=True))
    if prompt and prompt.position == "prefix":
        shape = checkpoint.tensors[SOFT_PROMPT].shape
        adapter = {PEFT_TENSOR: NewTensor(shape=shape, dtype=chosen)}
        files[f"{ADAPTER_FOLDER}/{ADAPTER_NAME}"] = adapter
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


def create_files(plan: ExportPlan, folder: Path) -> Offsets:
    """Make the tensor files in ``folder`` where they are not there yet; says where numbers go."""
    offsets = {}
    for file, tensors in plan.files.items():
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        offsets[file] = safetensors_file.place(path, tensors)
    return offsets


def export_jobs(
    plan: ExportPlan, folder: Path, offsets: Mapping[str, Mapping[str, int]], *, allow_nan: bool
) -> list[Job]:
    """How to fill the files that :func:`create_files` made.

    The aliases come first: a checkpoint whose two copies of a weight differ is refused early.
    """
    checkpoint = plan.checkpoint
    jobs: list[Job] = [
        CompareMdl(
            name=f"alias {alias}",
            source=checkpoint.path,
            first=checkpoint.tensors[rule.parts[0].name],
            second=checkpoint.tensors[alias],
        )
        for rule in plan.rules
        for alias in rule.aliases
        if rule.parts[0].name is not None
        and checkpoint.tensors[alias] != checkpoint.tensors[rule.parts[0].name]
    ]
    rules = {rule.hf_name: rule for rule in plan.rules}
    for file, tensors in plan.files.items():
        for name, tensor in tensors.items():
            rule = rules.get(name)
            place = Place(path=folder / file, offset=offsets[file][name], dtype=tensor.dtype)
            if rule is None:
                jobs.append(_plain_copy(checkpoint, name, place, allow_nan))
                continue
            jobs.append(
                FromMdl(
                    name=name,
                    source=checkpoint.path,
                    parts=tuple(_part(checkpoint, part) for part in rule.parts),
                    is_transposed=rule.is_transposed,
                    place=place,
                    allow_nan=allow_nan,
                    count_zeros=rule.is_transposed,
                )
            )
    return jobs


def _part(checkpoint: Checkpoint, part: Part) -> MdlPart:
    if part.name is None:
        return MdlPart(name="zeros", shape=part.shape)
    return MdlPart(
        name=part.name,
        shape=part.shape,
        tensor=checkpoint.tensors[part.name],
        mask=checkpoint.masks.get(part.name),
    )


def _plain_copy(checkpoint: Checkpoint, name: str, place: Place, allow_nan: bool) -> FromMdl:
    """A mask, or the soft prompt of an adapter."""
    if name == PEFT_TENSOR:
        tensor = checkpoint.tensors[SOFT_PROMPT]
    else:
        tensor = checkpoint.masks[name.removesuffix(MASK_SUFFIX)]
    return FromMdl(
        name=name,
        source=checkpoint.path,
        parts=(MdlPart(name=name, shape=tensor.shape, tensor=tensor),),
        is_transposed=False,
        place=place,
        allow_nan=allow_nan,
    )
