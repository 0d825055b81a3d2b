"""What is in a ``.mdl`` file, told from its metadata and a sample of its masks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from mediswift_cs.checkpoints import lz4_chunks, treespec
from mediswift_cs.checkpoints.mdl import MdlFile, OpaqueObject, StoredTensor
from mediswift_cs.checkpoints.names import FINAL_NORM_ALIAS, HEAD, SOFT_PROMPT, WORD_EMBEDDINGS
from mediswift_cs.checkpoints.record import (
    Record,
    SoftPromptRecord,
    find_model_section,
    global_step,
    stored_metadata,
    stored_params,
)
from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.progress import progress

T = TypeVar("T")
# Masks up to this many elements in all are counted in full.
_COUNTED_IN_FULL = 4_000_000
# How much of each larger mask is looked at.
_SAMPLE = 1 << 15


@dataclass(frozen=True, kw_only=True)
class MaskSummary:
    """The masks as they were when the checkpoint was written.

    Attributes:
        sparsity: the fraction of zeros in the masks, of ``num_counted`` elements.
        num_weights: elements of all masked weights.
    """

    num_masks: int
    num_weights: int
    num_counted: int
    sparsity: float

    @property
    def is_exact(self) -> bool:
        """Whether every element was counted."""
        return self.num_counted == self.num_weights


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is in a checkpoint.

    Attributes:
        global_step: updates that were trained; None where it is not kept.
        num_parameters: of the model; the second copy of a tied weight is not counted.
        dtypes: number formats of the weights.
        masks: None for a dense model.
        num_optimizer_tensors: moments and the like; 0 where there is no optimizer state.
        group_bytes: uncompressed bytes of tensors by top-level key.
        unreadable: the type of the first object that only a pickle could hold.
        problems: what is kept beside the tensors and is damaged.
    """

    path: str
    file_bytes: int
    cerebras_pytorch: str
    model_name: str | None
    global_step: int | None
    num_parameters: int
    dtypes: tuple[str, ...]
    masks: MaskSummary | None
    num_optimizer_tensors: int
    soft_prompt: dict[str, Any] | None
    tokenizer_sha256: str | None
    group_bytes: dict[str, int]
    unreadable: str | None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The summary as plain data, which JSON can hold."""
        content = asdict(self)
        if not self.problems:
            del content["problems"]
        if self.masks is not None:
            content["masks"]["is_exact"] = self.masks.is_exact
        return content

    def to_text(self) -> str:
        """The summary as a few lines for a terminal."""
        step = "not kept" if self.global_step is None else f"{self.global_step:,}"
        lines = [
            f"{self.path}: {self.file_bytes:,} bytes, cerebras-pytorch {self.cerebras_pytorch}",
            f"model            {self.model_name or 'not named'}",
            f"steps            {step}",
            f"parameters       {self.num_parameters:,} in {', '.join(self.dtypes)}",
            f"sparsity         {self._sparsity_text()}",
            f"optimizer state  {self._optimizer_text()}",
            f"soft prompt      {self._prompt_text()}",
            f"tokenizer        {self.tokenizer_sha256 or 'not kept'}",
        ]
        lines += [f"size of {key:<12} {size:,} bytes" for key, size in self.group_bytes.items()]
        lines += [f"warning: {problem}" for problem in self.problems]
        if self.unreadable:
            lines.append(
                f"warning: holds a {self.unreadable}, which is not plain data: not loadable"
            )
        return "\n".join(lines)

    def _sparsity_text(self) -> str:
        if self.masks is None:
            return "no masks (dense, or the masks were stripped)"
        text = f"{self.masks.sparsity:.4f} of {self.masks.num_weights:,} weights"
        if not self.masks.is_exact:
            text += f" (from a sample of {self.masks.num_counted:,}; --exact counts all)"
        return f"{text} in {self.masks.num_masks} masks"

    def _optimizer_text(self) -> str:
        count = self.num_optimizer_tensors
        return f"{count:,} tensors" if count else "none"

    def _prompt_text(self) -> str:
        if self.soft_prompt is None:
            return "none"
        return ", ".join(f"{key} {value}" for key, value in self.soft_prompt.items())


def summarize(path: Path, *, exact: bool) -> Summary:
    """Describe a ``.mdl`` file; ``exact`` reads every mask. CheckpointError for no such file."""
    with MdlFile(path) as file:
        leaves = dict(treespec.leaves(file.state))
        problems: list[str] = []
        record = _kept(partial(Record.read, file.state), problems) or Record(version=None)
        name = stored_metadata(file.state).get("model_name")
        weights = _weights(file.tensors, is_tied=_is_tied(file.state))
        return Summary(
            path=str(path),
            file_bytes=path.stat().st_size,
            cerebras_pytorch=file.cerebras_pytorch_version,
            model_name=name if isinstance(name, str) else None,
            global_step=_kept(partial(global_step, file.state, path), problems),
            num_parameters=sum(tensor.num_elements for tensor in weights.values()),
            dtypes=tuple(sorted({tensor.dtype for tensor in weights.values()})),
            masks=_masks(file, exact),
            num_optimizer_tensors=sum(
                1
                for key, leaf in leaves.items()
                if key.startswith("optimizer.state.") and isinstance(leaf, StoredTensor)
            ),
            soft_prompt=_soft_prompt(weights, record.soft_prompt),
            tokenizer_sha256=record.tokenizer_sha256,
            group_bytes=_group_bytes(leaves),
            unreadable=next(
                (x.type_name for x in leaves.values() if isinstance(x, OpaqueObject)), None
            ),
            problems=tuple(problems),
        )


def _kept(read: Callable[[], T], problems: list[str]) -> T | None:
    """What ``read`` gives; None, and a problem more, where the checkpoint is damaged there."""
    try:
        return read()
    except CheckpointError as error:
        problems.append(str(error))
        return None


def _is_tied(state: Mapping[str, Any]) -> bool:
    """Whether the params tie the head to the embedding; ModelZoo's default is that they do."""
    section = find_model_section(stored_params(state)) or {}
    tied = section.get("share_embedding_weights")
    return True if tied is None else bool(tied)


def _weights(tensors: Mapping[str, StoredTensor], *, is_tied: bool) -> dict[str, StoredTensor]:
    """The tensors without masks and without second copies."""
    found = {k.removeprefix("model."): t for k, t in tensors.items() if not k.endswith(MASK_SUFFIX)}
    for alias in (f"{FINAL_NORM_ALIAS}.weight", f"{FINAL_NORM_ALIAS}.bias"):
        found.pop(alias, None)
    if is_tied and WORD_EMBEDDINGS in found:
        found.pop(HEAD, None)
    return found


def _masks(file: MdlFile, exact: bool) -> MaskSummary | None:
    masks = [
        tensor
        for key, tensor in file.tensors.items()
        if key.endswith(MASK_SUFFIX) and tensor.num_elements
    ]
    if not masks:
        return None
    total = sum(mask.num_elements for mask in masks)
    in_full = exact or total <= _COUNTED_IN_FULL
    num_counted = num_kept = 0
    for mask in progress("count masks", "masks", masks, stays=False):
        for block in _mask_blocks(file.numbers(mask), mask, in_full):
            num_counted += block.size
            num_kept += int(np.count_nonzero(block))
    return MaskSummary(
        num_masks=len(masks),
        num_weights=total,
        num_counted=num_counted,
        sparsity=1 - num_kept / num_counted,
    )


def _mask_blocks(source: Any, mask: StoredTensor, in_full: bool) -> Iterator[Any]:
    if not in_full and isinstance(source, h5py.Dataset) and source.chunks:
        yield lz4_chunks.read(source, tuple(slice(0, length) for length in source.chunks))
        return
    if not mask.shape:
        yield source
        return
    width = max(1, mask.num_elements // mask.shape[0])
    step = max(1, (_SAMPLE if not in_full else 1 << 24) // width)
    for start in range(0, mask.shape[0], step):
        yield lz4_chunks.read(source, slice(start, start + step))
        if not in_full:
            return


def _group_bytes(leaves: Mapping[str, Any]) -> dict[str, int]:
    groups: dict[str, int] = {}
    for key, leaf in leaves.items():
        if isinstance(leaf, StoredTensor):
            group = key.split(".")[0]
            if group == "model" and key.endswith(MASK_SUFFIX):
                group = "masks"
            groups[group] = groups.get(group, 0) + leaf.num_bytes
    return groups


def _soft_prompt(
    weights: Mapping[str, StoredTensor], noted: SoftPromptRecord | None
) -> dict[str, Any] | None:
    tensor = weights.get(SOFT_PROMPT)
    if tensor is None:
        return None
    return {
        **(noted or {}),
        # Of a damaged file whatever it has: inspect is there to look at it.
        **dict(zip(("num_virtual_tokens", "hidden_size"), tensor.shape, strict=False)),
    }
