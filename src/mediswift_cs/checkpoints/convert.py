"""Conversion of a checkpoint as a whole: plan, tensors, further files, proof, final name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from mediswift_cs.checkpoints import mdl_writer
from mediswift_cs.checkpoints.blocks import PartReport, write_blocks
from mediswift_cs.checkpoints.export import ExportPlan, create_files, export_blocks, plan_export
from mediswift_cs.checkpoints.folder_files import write_folder_files
from mediswift_cs.checkpoints.hf_folder import HuggingFaceModel, read_huggingface
from mediswift_cs.checkpoints.restore import (
    create_file,
    new_state,
    restore_blocks,
)
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.sparsity_report import SparsityReport, sparsity_report
from mediswift_cs.checkpoints.target import check_free, disk_errors, new_target
from mediswift_cs.checkpoints.tokenizer_files import ModelTokenizer, find_tokenizer
from mediswift_cs.checkpoints.verify_bits import verify_bits
from mediswift_cs.errors import JOB_FAILED_EXIT_CODE, CheckpointError, ConfigError, DataError
from mediswift_cs.packages import install_command
from mediswift_cs.tokens.tokenizer import fingerprint

DEFAULT_SHARD_BYTES = 5 * 10**9
# Below this many parameters a conversion is verified unless told otherwise.
VERIFIED_BELOW = 1_000_000_000


class VerificationError(CheckpointError):
    """The converted model is not the same; nothing was kept of it."""

    exit_code = JOB_FAILED_EXIT_CODE


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What the command line says beside source and target.

    Attributes:
        verify: compare logits; None does below VERIFIED_BELOW parameters.
    """

    params: Path | None = None
    tokenizer: Path | None = None
    has_tokenizer: bool = True
    dtype: str | None = None
    max_shard_bytes: int = DEFAULT_SHARD_BYTES
    keep_masks: bool = False
    peft_adapter: bool = False
    allow_nan: bool = False
    verify: bool | None = None
    verify_text: Path | None = None
    licence: str | None = None

    def verifies(self, num_parameters: int) -> bool:
        """Whether a model of so many parameters is to be compared with what it became."""
        return num_parameters < VERIFIED_BELOW if self.verify is None else self.verify


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
        VerificationError: the result was compared and is not the same model.
        CheckpointError: the source is damaged or does not fit GPT-2, the target exists or cannot
            be written. Nothing is left under the target's name then.
    """
    check_options(source, target, options)
    direction = to_huggingface if is_export(source) else to_mdl
    with disk_errors(source, target):
        return direction(source, target.absolute(), options)


def to_huggingface(source: Path, target: Path, options: ConvertOptions) -> Conversion:
    """``.mdl`` file to Hugging Face folder."""
    plan, tokenizer = read_export(source, target, options)
    with new_target(source, target, plan.num_bytes, is_folder=True) as folder:
        reports: list[PartReport] = []
        blocks = export_blocks(
            plan, create_files(plan, folder), reports, allow_nan=options.allow_nan
        )
        write_blocks(blocks, plan.num_bytes)
        sparsity = sparsity_report(reports)
        write_folder_files(plan, folder, tokenizer, sparsity, options.licence)
        is_verified, line = _verify(
            plan.checkpoint.architecture.num_parameters,
            source,
            folder,
            plan.dtype,
            options,
            target,
        )
    return Conversion(
        target=target,
        num_bytes=plan.num_bytes,
        messages=[*_warnings(reports), line],
        sparsity=sparsity,
        is_verified=is_verified,
    )


def read_export(
    source: Path, target: Path, options: ConvertOptions
) -> tuple[ExportPlan, ModelTokenizer | None]:
    """What ``source`` would become, all that can be refused without its numbers refused."""
    check_free(target)
    checkpoint = read_checkpoint(source, options.params)
    tokenizer = find_tokenizer(checkpoint, options.tokenizer) if options.has_tokenizer else None
    plan = plan_export(
        checkpoint,
        dtype=options.dtype,
        max_shard_bytes=options.max_shard_bytes,
        keep_masks=options.keep_masks,
        peft_adapter=options.peft_adapter,
    )
    return plan, tokenizer


def to_mdl(source: Path, target: Path, options: ConvertOptions) -> Conversion:
    """Hugging Face folder to ``.mdl`` file."""
    check_free(target)
    if target.is_dir():
        raise CheckpointError(f"{target} is a folder: give the name of the .mdl file to write")
    model = read_huggingface(source)
    state = new_state(
        model, dtype=options.dtype, tokenizer_sha256=_tokenizer_sha256(model, options)
    )
    tensors = state["model"].values()
    num_bytes = sum(tensor.num_bytes for tensor in tensors)
    with new_target(source, target, num_bytes, is_folder=False) as path:
        reports: list[PartReport] = []
        blocks = restore_blocks(
            model, create_file(path, state), reports, allow_nan=options.allow_nan
        )
        write_blocks(blocks, num_bytes)
        mdl_writer.finish(path)
        messages = _warnings(reports)
        if model.architecture.nonlinearity != "gelu":
            messages.append(
                f"note: this model was trained with {model.architecture.nonlinearity}; "
                f"mediswift's decoder has gelu, so as a starting point it is slightly off"
            )
        dtype = next(iter(tensors)).dtype
        is_verified, line = _verify(
            model.architecture.num_parameters, path, source, dtype, options, target
        )
    return Conversion(
        target=target, num_bytes=num_bytes, messages=[*messages, line], is_verified=is_verified
    )


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
    num_parameters: int,
    mdl: Path,
    folder: Path,
    dtype: str,
    options: ConvertOptions,
    target: Path,
) -> tuple[bool | None, str]:
    """The outcome and a line that says it; VerificationError where the two are not the same."""
    if not options.verifies(num_parameters):
        return None, "not verified (--verify compares logits on text)"
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        if options.verify:
            raise ConfigError(
                f"--verify compares logits, which needs {' and '.join(missing)}: "
                f"{install_command(*missing)}"
            )
        passed, line = verify_bits(
            read_checkpoint(mdl, options.params), read_huggingface(folder), dtype, None
        )
        line += f"; logits were not compared without {' and '.join(missing)}" if passed else ""
    else:
        from mediswift_cs.checkpoints import verify

        passed, line = verify.verify_files(mdl, folder, dtype, options.params, options.verify_text)
    if passed is False:
        raise VerificationError(f"{line}; nothing was written to {target}")
    return passed, line
