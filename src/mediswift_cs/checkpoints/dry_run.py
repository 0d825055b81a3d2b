"""What a conversion would do: the plan, and the peak memory that it will need."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mediswift_cs.checkpoints import convert, safetensors_file
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.export import export_jobs, plan_export
from mediswift_cs.checkpoints.partial import check_free
from mediswift_cs.checkpoints.restore import new_state, read_huggingface, restore_jobs
from mediswift_cs.checkpoints.source import read_checkpoint
from mediswift_cs.checkpoints.tokenizer_files import find_tokenizer
from mediswift_cs.checkpoints.workers import Job, default_num_workers

# Resident memory of a process with numpy and h5py, and of this one with everything but torch.
_WORKER_BYTES = 70 * 2**20
_PARENT_BYTES = 130 * 2**20
# torch and transformers, with what they allocate on first use.
_VERIFY_BYTES = 700 * 2**20


def describe(source: Path, target: Path, options: convert.ConvertOptions) -> str:
    """The plan as text; reads no weight and writes nothing.

    Raises CheckpointError or ConfigError for what the conversion would refuse before its work.
    """
    convert.check_options(source, target, options)
    check_free(target)
    lines = [f"{source} -> {target}"]
    if convert.is_export(source):
        shape, jobs, plan_lines = _export(source, target, options)
    else:
        shape, jobs, plan_lines = _restore(source, target, options)
    lines += plan_lines
    num_bytes = sum(job.num_bytes for job in jobs)
    num_workers = options.num_workers
    if num_workers is None:
        num_workers = default_num_workers(num_bytes)
    verify = shape.num_parameters < convert.VERIFIED_BELOW
    verify = verify if options.verify is None else options.verify
    lines.append(f"tensors: {len(jobs)}, {num_bytes:,} bytes, {num_workers or 1} at a time")
    lines.append(f"verification: {'yes' if verify else 'no'}")
    peak = peak_memory(jobs, num_workers, shape if verify else None)
    lines.append(f"peak memory: about {peak / 2**20:,.0f} MiB (all processes)")
    return "\n".join(lines)


def peak_memory(jobs: Sequence[Job], num_workers: int, verified: Architecture | None) -> int:
    """Bytes resident at most, in all processes together."""
    largest = sorted((job.memory_bytes for job in jobs), reverse=True)
    peak = _PARENT_BYTES + sum(largest[: num_workers or 1]) + num_workers * _WORKER_BYTES
    if verified is None:
        return peak
    from mediswift_cs.checkpoints.verify import verify_memory

    return max(peak, _PARENT_BYTES + _VERIFY_BYTES + verify_memory(verified))


def _export(
    source: Path, target: Path, options: convert.ConvertOptions
) -> tuple[Architecture, list[Job], list[str]]:
    checkpoint = read_checkpoint(source, options.params)
    tokenizer = find_tokenizer(checkpoint, options.tokenizer) if options.has_tokenizer else None
    plan = plan_export(
        checkpoint,
        dtype=options.dtype,
        max_shard_bytes=options.max_shard_bytes,
        keep_masks=options.keep_masks,
    )
    nowhere: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    jobs = export_jobs(plan, target, nowhere, allow_nan=options.allow_nan)
    shape, prompt = checkpoint.architecture, checkpoint.soft_prompt
    lines = [
        f"model: {shape.num_parameters:,} parameters, {shape.num_hidden_layers} layers, "
        f"{len(checkpoint.masks)} masks, written in {plan.dtype}",
        f"tokenizer: {tokenizer.path if tokenizer else 'none'}",
    ]
    if prompt:
        lines.append(f"soft prompt: {prompt.num_virtual_tokens} tokens, {prompt.position}")
    for file, tensors in plan.files.items():
        size = sum(tensor.num_bytes for tensor in tensors.values())
        lines.append(f"file: {file}, {len(tensors)} tensors, {size:,} bytes")
    if len(plan.shards) > 1:
        lines.append(f"file: {safetensors_file.INDEX_NAME}")
    return shape, jobs, lines


def _restore(
    source: Path, target: Path, options: convert.ConvertOptions
) -> tuple[Architecture, list[Job], list[str]]:
    model = read_huggingface(source)
    state = new_state(model, dtype=options.dtype, tokenizer_sha256=None)
    jobs = restore_jobs(model, state, target, defaultdict(int), allow_nan=options.allow_nan)
    shape = model.architecture
    lines = [
        f"model: {shape.num_parameters:,} parameters, {shape.num_hidden_layers} layers, "
        f"{len(model.masks)} masks",
        f"file: {target.name}, {len(state['model'])} tensors",
    ]
    return shape, jobs, lines
