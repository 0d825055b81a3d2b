"""The runs that made a checkpoint, as far as the files beside it say: for the model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediswift_cs.checkpoints.source import Checkpoint, read_checkpoint
from mediswift_cs.checkpoints.tokenizer_files import training_manifest
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.params.run_options import ORIGIN_FILE
from mediswift_cs.params.schema import Params
from mediswift_cs.params.sparsity import SparsityParams
from mediswift_cs.params.training_cost import training_flops
from mediswift_cs.storage.read import read_json_object


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, as the model card tells it.

    Attributes:
        checkpoint: the file that it ended with, or at least the exported one.
        lines: what is known of it, a title and a value each.
    """

    checkpoint: str
    lines: dict[str, str]


def runs(checkpoint: Checkpoint) -> tuple[list[Run], str]:
    """The runs, the first one first, and what is known of the weights that the first began with."""
    found: list[Run] = []
    seen: set[Path] = set()
    while True:
        seen.add(checkpoint.path.resolve())
        path = _started_from(checkpoint.path.parent)
        origin, start = None, "what it started from is not known here"
        if isinstance(path, Path):
            start = f"it started from {path.name}, which is not here"
            if path.resolve() in seen:
                start = f"it started from {path.name}, which is in this list"
            elif path.is_file():
                try:
                    origin = read_checkpoint(path)
                except CheckpointError:
                    start = f"it started from {path.name}, which cannot be read"
        elif path == "random":
            start = "it started from random weights"
        found.insert(0, Run(checkpoint=checkpoint.path.name, lines=_lines(checkpoint, origin)))
        if origin is None:
            return found, start
        checkpoint = origin


def _started_from(model_dir: Path) -> Path | str | None:
    """The checkpoint that a run of ours started from, "random", or None where nothing says it."""
    try:
        given = read_json_object(model_dir / ORIGIN_FILE)["checkpoint_path"]
    except (DataError, KeyError):
        # The folder is a copy of the checkpoint alone, or ModelZoo's.
        return None
    return Path(given) if isinstance(given, str) else "random"


def _lines(checkpoint: Checkpoint, origin: Checkpoint | None) -> dict[str, str]:
    step = checkpoint.global_step
    before = (origin.global_step or 0) if origin and not _begins_anew(checkpoint, origin) else 0
    num_steps = None if step is None else step - before
    tokens, how = _tokens(checkpoint, num_steps)
    lines = {"steps": "not known" if num_steps is None else f"{num_steps:,}"}
    lines["tokens"] = f"{tokens:,} ({how})" if tokens is not None else how
    lines["sparsity"] = _sparsity(checkpoint)
    if tokens:
        lines["training FLOPs"] = _flops(checkpoint, tokens, before)
    return {**lines, "data": _data(checkpoint)}


def _begins_anew(checkpoint: Checkpoint, origin: Checkpoint) -> bool:
    """Whether the steps were counted from 0: the weights alone were taken."""
    callbacks = _trainer(checkpoint).get("init", {}).get("callbacks") or []
    takes_weights = any("LoadCheckpointStates" in c for c in callbacks if isinstance(c, dict))
    is_dense_from_sparse = bool(origin.masks and not checkpoint.masks)
    is_earlier = (checkpoint.global_step or 0) < (origin.global_step or 0)
    return takes_weights or is_dense_from_sparse or is_earlier


def _trainer(checkpoint: Checkpoint) -> Mapping[str, Any]:
    trainer = (checkpoint.params or {}).get("trainer")
    return trainer if isinstance(trainer, dict) else {}


def _tokens(checkpoint: Checkpoint, num_steps: int | None) -> tuple[int | None, str]:
    """The tokens of the run, and how they are counted or why they are not."""
    trainer = _trainer(checkpoint)
    loader: Any = (trainer.get("fit") or {}).get("train_dataloader") or {}
    batch = loader.get("batch_size")
    accumulated = _num_accumulated(trainer.get("init") or {})
    length = loader.get("max_sequence_length") or checkpoint.architecture.max_position_embeddings
    if num_steps is None or not isinstance(batch, int) or not isinstance(length, int):
        return None, "not known (the checkpoint does not keep its batch size or steps)"
    batches = f"{accumulated} batches a step x " if accumulated > 1 else ""
    how = f"steps x {batches}batch size {batch} x length {length}, padding included"
    return num_steps * accumulated * batch * length, how


def _num_accumulated(init: Any) -> int:
    """Batches of a step, as params.training_cost counts them; these params may be ModelZoo's."""
    backend = (init.get("backend") or {}).get("backend_type") or init.get("device")
    accumulated = (init.get("loop") or {}).get("grad_accum_steps")
    return accumulated if backend != "CSX" and isinstance(accumulated, int) else 1


def _sparsity(checkpoint: Checkpoint) -> str:
    if not checkpoint.masks:
        return "none, all weights were trained"
    weights = f"of the weights of {len(checkpoint.masks)} matrices were held at zero"
    try:
        section = (_trainer(checkpoint).get("init") or {}).get("sparsity")
        sparsity = SparsityParams.model_validate(section)
        level = sparsity.level_after(checkpoint.global_step or 0)
    except ValueError:
        return f"a part {weights}"
    if not sparsity.is_dynamic:
        return f"{level:.0%} {weights}"
    return f"{level:.0%} {weights} in the end ({sparsity.algorithm}: masks changed on the way)"


def _flops(checkpoint: Checkpoint, tokens: int, first_step: int) -> str:
    try:
        params = Params(**(checkpoint.params or {}))
    except ValueError:
        return "not counted (the params are not of this package's schema)"
    total = training_flops(params, tokens, first_step=first_step).total
    return f"{total:.3e} (matrix products, in closed form; pruned weights cost nothing)"


def _data(checkpoint: Checkpoint) -> str:
    manifest = training_manifest(checkpoint)
    if manifest is None:
        return "its manifest was not found when the model was exported"
    split = manifest.splits.get("train")
    counts = f", {split.num_documents:,} documents, {split.num_tokens:,} tokens" if split else ""
    if not manifest.sources:
        return f"no source listed{counts}"
    number = len(manifest.sources)
    return (
        f"{number} {'source' if number == 1 else 'sources'}{counts}, prepared with mediswift_cs "
        f"{manifest.package_version}; the first: {manifest.sources[0].path}"
    )
