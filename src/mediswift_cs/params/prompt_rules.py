"""What fine-tuning adds to the rules: soft prompts, and data that is laid out for them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mediswift_cs.params.dataloader import PROMPT_PROCESSOR
from mediswift_cs.params.problem import Problem, misfit, spell
from mediswift_cs.params.schema import DataLoaderParams, ModelParams, Params
from mediswift_cs.tokens.manifest import Manifest

MODEL = "trainer.init.model"
PROMPT = f"{MODEL}.soft_prompt"


class Disagreement(NamedTuple):
    """A setting of the prompt layout that a model and its data have differently."""

    key: str
    data: Any
    model: int | str


def prompt_disagreements(layout: Mapping[str, Any], model: ModelParams) -> list[Disagreement]:
    """What a model and the layout of its data do not agree in, the most important first.

    Args:
        layout: num_virtual_tokens, position and vocab_size, from a manifest or from shards. The
            last two matter only where the model has a soft prompt.
    """
    prompt = model.soft_prompt
    expected: dict[str, int | str] = {"num_virtual_tokens": 0}
    if prompt is not None:
        expected = {
            "num_virtual_tokens": prompt.num_virtual_tokens,
            "position": prompt.position,
            "vocab_size": model.vocab_size,
        }
    return [
        Disagreement(key, layout.get(key), value)
        for key, value in expected.items()
        if layout.get(key) != value
    ]


def check_soft_prompt(params: Params) -> Iterator[Problem]:
    """The rules within ``trainer.init.model``."""
    model = params.trainer.init.model
    prompt = model.soft_prompt
    if model.name == "mediswift" and prompt is not None:
        yield _name_problem("mediswift with a soft_prompt", PROMPT)
    elif model.name == "mediswift" and model.trainable != "all":
        yield _name_problem(f"mediswift with trainable: {model.trainable}", f"{MODEL}.trainable")
    if model.trainable == "soft_prompt" and prompt is None:
        yield Problem(
            path=f"{MODEL}.trainable",
            got="soft_prompt without one",
            allowed="all, or a section trainer.init.model.soft_prompt",
            reads=(PROMPT,),
        )
    if prompt is None:
        return
    for key, what in (("init_text", "a text"), ("tokenizer_file", "the path of a tokenizer.json")):
        value = getattr(prompt, key)
        if (value is None) == (prompt.init == "text"):
            yield Problem(
                path=f"{PROMPT}.{key}",
                got=spell(value),
                allowed=f"{what} with init text" if value is None else "null without init text",
                reads=(f"{PROMPT}.init",),
            )
    if prompt.num_virtual_tokens >= model.max_position_embeddings:
        allowed = f"fewer than max_position_embeddings {model.max_position_embeddings}"
        reads = f"{MODEL}.max_position_embeddings"
        yield misfit(f"{PROMPT}.num_virtual_tokens", prompt, allowed, reads)


def _name_problem(got: str, reads: str) -> Problem:
    allowed = "mediswift_finetuning for that"
    return Problem(path=f"{MODEL}.name", got=got, allowed=allowed, reads=(reads,))


def check_prompt_loader(params: Params, path: str, loader: DataLoaderParams) -> Iterator[Problem]:
    """A soft prompt needs data that has a place for it."""
    has_prompt = params.trainer.init.model.soft_prompt is not None
    if has_prompt and loader.data_processor != PROMPT_PROCESSOR:
        allowed = f"{PROMPT_PROCESSOR}, whose batches hold the soft prompt"
        yield misfit(f"{path}.data_processor", loader, allowed, PROMPT)


def check_prompt_data(
    params: Params, path: str, loader: DataLoaderParams, folder: str, manifest: Manifest
) -> Iterator[Problem]:
    """The layout of the examples in a folder against the model."""
    layout, data_dir = manifest.options.get("prompt"), f"{path}.data_dir"
    if loader.data_processor != PROMPT_PROCESSOR:
        if layout is not None:
            allowed = f"{PROMPT_PROCESSOR}, as {folder} holds task examples"
            yield misfit(f"{path}.data_processor", loader, allowed, data_dir)
        return
    if not isinstance(layout, dict):
        yield Problem(
            path=data_dir,
            got=f"{folder!r}, which holds no task examples",
            allowed="a folder that `mediswift pubmedqa` or `mediswift hoc` prepared",
        )
        return
    model = params.trainer.init.model
    different = {each.key: each for each in prompt_disagreements(layout, model)}
    if number := different.get("num_virtual_tokens"):
        yield Problem(
            path=f"{PROMPT}.num_virtual_tokens" if model.soft_prompt else PROMPT,
            got=str(number.model) if model.soft_prompt else "null",
            allowed=f"{number.data} virtual tokens, as in {folder}",
            reads=(data_dir, PROMPT),
        )
    elif (place := different.get("position")) and model.soft_prompt:
        allowed = f"{place.data}, as in {folder}"
        yield misfit(f"{PROMPT}.position", model.soft_prompt, allowed, data_dir, PROMPT)
    if size := different.get("vocab_size"):
        allowed = f"{size.data}, the first virtual token's id in {folder}"
        hint = f"or prepare the examples with --vocab-size {size.model}"
        yield misfit(f"{MODEL}.vocab_size", model, allowed, data_dir, PROMPT, hint=hint)
