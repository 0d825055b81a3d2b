"""Data folders against the model: from their manifests, or from shards that have none."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mediswift_cs.errors import DataError
from mediswift_cs.params.data_contents import Contents, has_other_layout, read_contents
from mediswift_cs.params.dataloader import OUR_PROCESSOR, PROMPT_PROCESSOR
from mediswift_cs.params.problem import Problem, misfit
from mediswift_cs.params.rules import MODEL, PROMPT, dataloaders
from mediswift_cs.params.run_options import CheckData
from mediswift_cs.params.schema import DataLoaderParams, ModelParams, Params
from mediswift_cs.tokens.fingerprint_check import is_other_tokenizer
from mediswift_cs.tokens.manifest import TASK_COMMANDS

# The paths of these dataloaders begin with one of those.
SECTIONS: dict[CheckData, tuple[str, ...]] = {
    "train": ("trainer.fit.train_dataloader",),
    "eval": ("trainer.validate.", "trainer.validate_all."),
    "both": ("trainer.",),
    "none": (),
}


def prompt_disagreements(
    layout: Mapping[str, Any], model: ModelParams
) -> list[tuple[str, Any, int | str]]:
    """What a model and the layout of its data do not agree in, the most important first.

    Args:
        layout: num_virtual_tokens, position and vocab_size, from a manifest or from shards. The
            last two matter only where the model has a soft prompt.

    Returns:
        Key, the data's value and the model's of each setting that they have differently.
    """
    prompt = model.soft_prompt
    expected: dict[str, int | str] = {"num_virtual_tokens": 0}
    if prompt is not None:
        expected = {
            "num_virtual_tokens": prompt.num_virtual_tokens,
            "position": prompt.position,
            "vocab_size": model.vocab_size,
        }
    found = [(key, layout.get(key), value) for key, value in expected.items()]
    return [(key, data, value) for key, data, value in found if data != value]


def check_data_rules(params: Params, check_data: CheckData) -> Iterator[Problem]:
    """The folders of the dataloaders that `check_data` asks for."""
    trainer = params.trainer
    if check_data in ("train", "both") and trainer.fit is None:
        yield Problem(path="trainer.fit", got="nothing", allowed="a section for training")
    if check_data == "eval" and trainer.validate_ is None and trainer.validate_all is None:
        yield Problem(path="trainer.validate", got="nothing", allowed="a section for evaluation")
    for path, loader in dataloaders(params, SECTIONS[check_data]):
        yield from check_dataloader(params.trainer.init.model, path, loader)


def check_dataloader(model: ModelParams, path: str, loader: DataLoaderParams) -> Iterator[Problem]:
    """The folders of one dataloader, which the params name at `path`."""
    counts: list[int] = []
    for index, folder in enumerate(loader.data_dirs):
        try:
            contents = read_contents(Path(folder))
        except DataError as error:
            is_ours = loader.data_processor in (OUR_PROCESSOR, PROMPT_PROCESSOR)
            if not is_ours and has_other_layout(Path(folder)):
                continue  # ModelZoo's processors read that too
            yield Problem(
                path=f"{path}.data_dir" + f".{index}" * isinstance(loader.data_dir, list),
                got=repr(folder),
                allowed="a folder of *.h5 shards",
                hint=str(error),
            )
            continue
        counts.append(contents.num_samples)
        yield from _folder(model, path, loader, folder, contents)
        yield from _prompt(model, path, loader, folder, contents.prompt)
    if len(counts) == len(loader.data_dirs):
        yield from _batch(path, loader, sum(counts))


def _folder(
    model: ModelParams, path: str, loader: DataLoaderParams, folder: str, contents: Contents
) -> Iterator[Problem]:
    """The shards' tokens and length against the model and the dataloader."""
    reads = f"{path}.data_dir"
    # The soft prompt's ids lie above the vocabulary.
    num_virtual = (contents.prompt or {}).get("num_virtual_tokens", 0)
    if contents.max_token_id >= model.vocab_size + num_virtual:
        smallest = contents.max_token_id + 1 - num_virtual
        allowed = f"at least {smallest}, as {folder} has the token id {contents.max_token_id}"
        yield misfit(f"{MODEL}.vocab_size", model, allowed, reads)
    if contents.min_token_id < 0:
        got = f"{folder!r} with the token id {contents.min_token_id}"
        yield Problem(path=reads, got=got, allowed="shards whose token ids are at least 0")
    length, wanted = contents.max_sequence_length, loader.max_sequence_length
    if wanted is not None and wanted != length:
        allowed = f"{length}, the length of the sequences in {folder}"
        yield misfit(f"{path}.max_sequence_length", loader, allowed, reads)
    elif length > model.max_position_embeddings:
        allowed = f"at least {length}, the length of the sequences in {folder}"
        yield misfit(f"{MODEL}.max_position_embeddings", model, allowed, reads)
    if is_other_tokenizer(loader.tokenizer_sha256, contents.tokenizer_sha256):
        allowed = f"{contents.tokenizer_sha256}, the tokenizer of {folder}"
        yield misfit(f"{path}.tokenizer_sha256", loader, allowed, reads)


def _batch(path: str, loader: DataLoaderParams, num_samples: int) -> Iterator[Problem]:
    """A batch that never fills up."""
    if num_samples == 0:
        yield Problem(
            path=f"{path}.data_dir",
            got=f"{loader.data_dir!r} without a sample",
            allowed="folders with samples",
        )
    elif loader.drop_last and loader.batch_size > num_samples:
        allowed = f"at most the {num_samples} samples of {loader.data_dir}"
        reads = (f"{path}.data_dir", f"{path}.drop_last")
        yield misfit(f"{path}.batch_size", loader, allowed, *reads)


def _prompt(
    model: ModelParams,
    path: str,
    loader: DataLoaderParams,
    folder: str,
    layout: Mapping[str, Any] | None,
) -> Iterator[Problem]:
    """The layout of the examples in a folder against the model."""
    data_dir = f"{path}.data_dir"
    if loader.data_processor != PROMPT_PROCESSOR:
        if layout is not None:
            allowed = f"{PROMPT_PROCESSOR}, as {folder} holds task examples"
            yield misfit(f"{path}.data_processor", loader, allowed, data_dir)
        return
    if not isinstance(layout, dict):
        yield Problem(
            path=data_dir,
            got=f"{folder!r}, which holds no task examples",
            allowed=f"a folder that {TASK_COMMANDS} prepared, as the "
            f"data_processor is {PROMPT_PROCESSOR}",
        )
        return
    different = {key: data for key, data, _ in prompt_disagreements(layout, model)}
    reads = (data_dir, PROMPT)
    if "num_virtual_tokens" in different:
        allowed = f"{different['num_virtual_tokens']} virtual tokens, as in {folder}"
        if model.soft_prompt is None:
            yield Problem(path=PROMPT, got="null", allowed=allowed, reads=reads)
        else:
            yield misfit(f"{PROMPT}.num_virtual_tokens", model.soft_prompt, allowed, *reads)
    elif "position" in different and model.soft_prompt is not None:
        allowed = f"{different['position']}, as in {folder}"
        yield misfit(f"{PROMPT}.position", model.soft_prompt, allowed, *reads)
    if "vocab_size" in different:
        allowed = f"{different['vocab_size']}, the first virtual token's id in {folder}"
        hint = f"or prepare the examples with --vocab-size {model.vocab_size}"
        yield misfit(f"{MODEL}.vocab_size", model, allowed, *reads, hint=hint)
