"""Conversion of a checkpoint as a whole: plan, tensors, further files, proof, final name."""

import errno
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs import __version__
from mediswift_cs.checkpoints import mdl_writer, safetensors_file
from mediswift_cs.checkpoints.export import (
    ADAPTER_FOLDER,
    ExportPlan,
    create_files,
    export_jobs,
    plan_export,
)
from mediswift_cs.checkpoints.folder_files import adapter_config, generation_config, model_config
from mediswift_cs.checkpoints.model_card import model_card
from mediswift_cs.checkpoints.partial import PartialFolder, check_free
from mediswift_cs.checkpoints.place import PartReport
from mediswift_cs.checkpoints.restore import (
    HuggingFaceModel,
    new_state,
    read_huggingface,
    restore_jobs,
)
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.sparsity_report import SparsityReport, sparsity_report
from mediswift_cs.checkpoints.tokenizer_files import ModelTokenizer, find_tokenizer, write_tokenizer
from mediswift_cs.checkpoints.workers import default_num_workers, run_jobs
from mediswift_cs.errors import CheckpointError, ConfigError, DataError
from mediswift_cs.tokens.tokenizer import fingerprint

DEFAULT_SHARD_BYTES = 5 * 10**9
# Below this many parameters a conversion is verified unless told otherwise.
VERIFIED_BELOW = 1_000_000_000
_MDL_NAME = "checkpoint.mdl"


class VerificationError(Exception):
    """The converted model is not the same; nothing was kept of it."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What the command line says beside source and target.

    Attributes:
        verify: compare logits; None does below VERIFIED_BELOW parameters.
        num_workers: processes; None chooses, 0 is this one.
    """

    params: Path | None = None
    tokenizer: Path | None = None
    has_tokenizer: bool = True
    dtype: str | None = None
    max_shard_bytes: int = DEFAULT_SHARD_BYTES
    keep_masks: bool = False
    allow_nan: bool = False
    verify: bool | None = None
    verify_text: Path | None = None
    num_workers: int | None = None
    licence: str | None = None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a conversion did.

    Attributes:
        sparsity: of the linear weights (``.mdl`` to Hugging Face only).
        messages: lines for the user.
        is_verified: None where it was not compared.
    """

    target: Path
    num_bytes: int
    messages: list[str] = field(default_factory=list)
    sparsity: SparsityReport | None = None
    is_verified: bool | None = None


def is_export(source: Path) -> bool:
    """Whether ``source`` is a ``.mdl`` file (True) or a Hugging Face folder (False)."""
    if source.is_file():
        return True
    if source.is_dir() and (source / "config.json").is_file():
        return False
    if source.is_dir():
        raise CheckpointError(
            f"{source} has no config.json: give a .mdl file or a Hugging Face folder"
        )
    raise CheckpointError(f"checkpoint not found: {source}")


def check_options(source: Path, target: Path, options: ConvertOptions) -> None:
    """Refuse before the work what cannot be, or would be ignored.

    Raises:
        ConfigError: the target is not named as what it becomes, or an option is of no use.
        CheckpointError: there is no source.
    """
    exports = is_export(source)
    if exports and target.suffix == ".mdl":
        raise ConfigError(
            f"TARGET: got {target}, allowed: a name without .mdl, as the file {source} becomes a "
            f"Hugging Face folder"
        )
    if not exports and target.suffix != ".mdl":
        raise ConfigError(
            f"TARGET: got {target}, allowed: a name that ends in .mdl, as the Hugging Face folder "
            f"{source} becomes a .mdl file"
        )
    text = options.verify_text
    if text is not None and options.verify is False:
        raise ConfigError(f"--verify-text: got {text} with --no-verify, allowed: one of them")
    if text is not None and exports and not options.has_tokenizer:
        raise ConfigError(
            f"--verify-text: got {text} with --no-tokenizer, allowed: one of them, as a text is "
            f"nothing to compare on without a tokenizer"
        )
    if text is not None and not text.exists():
        raise ConfigError(f"--verify-text: got {text}, which is no file, allowed: a text file")
    if options.licence is not None and not options.licence.isprintable():
        raise ConfigError(
            f"--license: got {options.licence!r}, allowed: one line of printable characters"
        )


def convert(source: Path, target: Path, options: ConvertOptions) -> Conversion:
    """Convert in the direction that ``source`` calls for.

    Raises:
        ConfigError: options that contradict each other or the source.
        CheckpointError: the source is damaged or does not fit GPT-2, the target exists or cannot
            be written. Nothing is left under the target's name then.
    """
    check_options(source, target, options)
    direction = to_huggingface if is_export(source) else to_mdl
    try:
        return direction(source, target.absolute(), options)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CheckpointError(
                f"no room for {target}: {reason}; nothing was kept of it"
            ) from error
        raise CheckpointError(f"cannot convert {source} to {target}: {reason}") from error


def to_huggingface(source: Path, target: Path, options: ConvertOptions) -> Conversion:
    """``.mdl`` file to Hugging Face folder."""
    check_free(target)
    checkpoint = read_checkpoint(source, options.params)
    tokenizer = find_tokenizer(checkpoint, options.tokenizer) if options.has_tokenizer else None
    plan = plan_export(
        checkpoint,
        dtype=options.dtype,
        max_shard_bytes=options.max_shard_bytes,
        keep_masks=options.keep_masks,
    )
    recipe = _recipe(source, options) | {"files": {f: sorted(t) for f, t in plan.files.items()}}
    with PartialFolder(target, recipe) as folder:
        _check_files(folder, [folder.path / name for name in plan.files])
        check_room(folder, plan.num_bytes)
        resumed = folder.is_resumed
        jobs = export_jobs(
            plan, folder.path, create_files(plan, folder.path), allow_nan=options.allow_nan
        )
        reports = run_jobs(jobs, folder, _num_workers(options, plan.num_bytes))
        sparsity = sparsity_report(reports)
        _write_files(plan, folder.path, target, tokenizer, sparsity, options)
        messages = ["went on with an interrupted conversion"] if resumed else []
        messages += _warnings(reports)
        verified = _verify(
            checkpoint.architecture.num_parameters, source, folder.path, plan.dtype, options
        )
        messages.append(verified[1])
        if verified[0] is False:
            raise VerificationError(verified[1])
        folder.publish()
    return Conversion(
        target=target,
        num_bytes=plan.num_bytes,
        messages=messages,
        sparsity=sparsity,
        is_verified=verified[0],
    )


def to_mdl(source: Path, target: Path, options: ConvertOptions) -> Conversion:
    """Hugging Face folder to ``.mdl`` file."""
    check_free(target)
    if target.is_dir():
        raise CheckpointError(f"{target} is a folder: give the name of the .mdl file to write")
    model = read_huggingface(source)
    state = new_state(
        model, dtype=options.dtype, tokenizer_sha256=_tokenizer_sha256(model, options)
    )
    num_bytes = sum(tensor.num_bytes for tensor in state["model"].values())
    with PartialFolder(target, _recipe(source, options)) as folder:
        path = folder.path / _MDL_NAME
        _check_files(folder, [path])
        check_room(folder, num_bytes)
        if not folder.is_resumed:
            path.unlink(missing_ok=True)
            mdl_writer.create(path, state)
        offsets = mdl_writer.offsets(path)
        jobs = restore_jobs(model, state, path, offsets, allow_nan=options.allow_nan)
        reports = run_jobs(jobs, folder, _num_workers(options, num_bytes))
        mdl_writer.finish(path)
        messages = _warnings(reports)
        if model.architecture.nonlinearity != "gelu":
            messages.append(
                f"note: this model was trained with {model.architecture.nonlinearity}; "
                f"mediswift's decoder has gelu, so as a starting point it is slightly off"
            )
        dtype = next(iter(state["model"].values())).dtype
        verified = _verify(model.architecture.num_parameters, path, source, dtype, options)
        messages.append(verified[1])
        if verified[0] is False:
            raise VerificationError(verified[1])
        folder.publish(_MDL_NAME)
    return Conversion(
        target=target, num_bytes=num_bytes, messages=messages, is_verified=verified[0]
    )


def _recipe(source: Path, options: ConvertOptions) -> dict[str, Any]:
    """What decides the result, for telling whether an interrupted conversion may go on."""
    inputs = sorted(source.iterdir()) if source.is_dir() else [source]
    stats = {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in inputs if p.is_file()}
    return {
        "version": __version__,
        "source": str(source.resolve()),
        "inputs": stats,
        "params": str(options.params),
        "dtype": options.dtype,
        "max_shard_bytes": options.max_shard_bytes,
        "keep_masks": options.keep_masks,
        "has_tokenizer": options.has_tokenizer,
        "allow_nan": options.allow_nan,
    }


def check_room(folder: PartialFolder, num_bytes: int) -> None:
    """Refuse before the work what the disk cannot hold; a resumed file has its blocks already."""
    free = shutil.disk_usage(folder.path).free
    if num_bytes > free and not folder.is_resumed:
        raise CheckpointError(
            f"no room for {folder.target}: it takes {num_bytes:,} bytes, {free:,} are free"
        )


def _check_files(folder: PartialFolder, files: Sequence[Path]) -> None:
    if folder.is_resumed and not all(path.is_file() for path in files):
        raise CheckpointError(f"{folder.path} was changed: remove it and start again")


def _num_workers(options: ConvertOptions, num_bytes: int) -> int:
    if options.num_workers is not None:
        return options.num_workers
    return default_num_workers(num_bytes)


def _warnings(reports: Sequence[PartReport]) -> list[str]:
    messages = []
    if masked := sum(report.num_masked for report in reports):
        messages.append(
            f"note: the masks turned {masked:,} weights into zeros; the checkpoint was saved "
            f"before its first step"
        )
    if nonfinite := [report for report in reports if report.num_nonfinite]:
        total = sum(report.num_nonfinite for report in nonfinite)
        messages.append(
            f"warning: {total:,} NaN or infinite numbers, the first in {nonfinite[0].name}"
        )
    return messages


def _write_files(
    plan: ExportPlan,
    folder: Path,
    target: Path,
    tokenizer: ModelTokenizer | None,
    sparsity: SparsityReport,
    options: ConvertOptions,
) -> None:
    """Everything that is not tensors."""
    eos_id = tokenizer.eos_id if tokenizer else None
    texts = {
        "config.json": _json(model_config(plan, eos_id)),
        "generation_config.json": _json(generation_config(plan, eos_id)),
        "README.md": model_card(plan, sparsity, options.licence),
    }
    if len(plan.shards) > 1:
        texts[safetensors_file.INDEX_NAME] = safetensors_file.index_json(plan.shards)
    if any(name.startswith(f"{ADAPTER_FOLDER}/") for name in plan.files):
        adapter = adapter_config(plan, str(target))
        texts[f"{ADAPTER_FOLDER}/adapter_config.json"] = _json(adapter)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if tokenizer:
        write_tokenizer(tokenizer, folder, plan.checkpoint, plan.num_added_tokens)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _tokenizer_sha256(model: HuggingFaceModel, options: ConvertOptions) -> str | None:
    """What the export noted, or else the fingerprint of the tokenizer in the folder."""
    if options.tokenizer is not None:
        return fingerprint(options.tokenizer)
    if noted := model.own.get("tokenizer_sha256"):
        return str(noted)
    if not options.has_tokenizer:
        return None
    try:
        return fingerprint(model.folder)
    except DataError as error:
        raise CheckpointError(
            f"the tokenizer of {model.folder} is not usable ({error}): give --tokenizer FILE, or "
            f"--no-tokenizer to leave its fingerprint out"
        ) from error


def _verify(
    num_parameters: int, mdl: Path, folder: Path, dtype: str, options: ConvertOptions
) -> tuple[bool | None, str]:
    """The outcome and a line that says it."""
    wanted = num_parameters < VERIFIED_BELOW if options.verify is None else options.verify
    if not wanted:
        return None, "not verified (--verify compares logits on text)"
    from mediswift_cs.checkpoints import verify

    return verify.verify_files(mdl, folder, dtype, options.params, options.verify_text)
