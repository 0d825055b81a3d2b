"""What a conversion would do: its files, their tensors, and the bytes of their numbers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mediswift_cs.checkpoints import convert, safetensors_file
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.hf_folder import read_huggingface
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.checkpoints.restore import new_state
from mediswift_cs.checkpoints.target import check_free


def describe(source: Path, target: Path, options: convert.ConvertOptions) -> str:
    """The plan as text; reads no weight and writes nothing.

    Raises:
        CheckpointError: what the conversion would refuse before its work.
        ConfigError: options that contradict each other or the source.
    """
    convert.check_options(source, target, options)
    lines = _export if convert.is_export(source) else _restore
    return "\n".join([f"{source} -> {target}", *lines(source, target, options)])


def _export(source: Path, target: Path, options: convert.ConvertOptions) -> Iterator[str]:
    plan, tokenizer = convert.read_export(source, target, options)
    shape, prompt = plan.checkpoint.architecture, plan.checkpoint.soft_prompt
    yield f"{_model(shape, len(plan.checkpoint.masks))}, written in {plan.dtype}"
    yield f"tokenizer: {tokenizer.path if tokenizer else 'none'}"
    if prompt:
        yield f"soft prompt: {prompt.num_virtual_tokens} tokens, {prompt.position}"
    for file, tensors in plan.files.items():
        yield _file(file, tensors)
    if len(plan.shards) > 1:
        yield f"file: {safetensors_file.INDEX_NAME}"
    num_tensors = sum(len(tensors) for tensors in plan.files.values())
    yield f"tensors: {num_tensors}, {plan.num_bytes:,} bytes"
    yield _verification(shape, options)


def _restore(source: Path, target: Path, options: convert.ConvertOptions) -> Iterator[str]:
    check_free(target)
    model = read_huggingface(source)
    state = new_state(model, dtype=options.dtype, tokenizer_sha256=None)
    yield _model(model.architecture, len(model.masks))
    yield _file(target.name, state["model"])
    yield _verification(model.architecture, options)


def _model(shape: Architecture, num_masks: int) -> str:
    return (
        f"model: {shape.num_parameters:,} parameters, {shape.num_hidden_layers} layers, "
        f"{num_masks} masks"
    )


def _file(name: str, tensors: Mapping[str, NewTensor]) -> str:
    num_bytes = sum(tensor.num_bytes for tensor in tensors.values())
    return f"file: {name}, {len(tensors)} tensors, {num_bytes:,} bytes"


def _verification(shape: Architecture, options: convert.ConvertOptions) -> str:
    return f"verification: {'yes' if options.verifies(shape.num_parameters) else 'no'}"
