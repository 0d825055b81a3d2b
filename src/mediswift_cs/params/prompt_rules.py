"""What fine-tuning adds to the rules: soft prompts, and data that is laid out for them."""

from collections.abc import Iterator

from mediswift_cs.params.dataloader import PROMPT_PROCESSOR
from mediswift_cs.params.problem import Problem, spell
from mediswift_cs.params.prompt_agreement import prompt_disagreements
from mediswift_cs.params.schema import DataLoaderParams, ModelParams, Params
from mediswift_cs.tokens.manifest import Manifest

MODEL = "trainer.init.model"
PROMPT = f"{MODEL}.soft_prompt"


def check_soft_prompt(params: Params) -> Iterator[Problem]:
    """The rules within ``trainer.init.model``."""
    model = params.trainer.init.model
    if model.name == "mediswift" and model.soft_prompt is not None:
        yield _name_problem("mediswift with a soft_prompt", f"{PROMPT}")
    elif model.name == "mediswift" and model.trainable != "all":
        yield _name_problem(f"mediswift with trainable: {model.trainable}", f"{MODEL}.trainable")
    if model.trainable == "soft_prompt" and model.soft_prompt is None:
        yield Problem(
            path=f"{MODEL}.trainable",
            got="soft_prompt without one",
            allowed="all, or a section trainer.init.model.soft_prompt",
            reads=(PROMPT,),
        )
    yield from _initial_text(model)
    if (
        model.soft_prompt is not None
        and model.soft_prompt.num_virtual_tokens >= model.max_position_embeddings
    ):
        yield Problem(
            path=f"{PROMPT}.num_virtual_tokens",
            got=str(model.soft_prompt.num_virtual_tokens),
            allowed=f"fewer than max_position_embeddings {model.max_position_embeddings}",
            reads=(f"{MODEL}.max_position_embeddings",),
        )


def _name_problem(got: str, reads: str) -> Problem:
    return Problem(
        path=f"{MODEL}.name", got=got, allowed="mediswift_finetuning for that", reads=(reads,)
    )


def _initial_text(model: ModelParams) -> Iterator[Problem]:
    prompt = model.soft_prompt
    if prompt is None:
        return
    for key in ("init_text", "tokenizer_file"):
        value = getattr(prompt, key)
        if (value is None) == (prompt.init == "text"):
            allowed = "a text" if key == "init_text" else "the path of a tokenizer.json"
            yield Problem(
                path=f"{PROMPT}.{key}",
                got=spell(value),
                allowed=f"{allowed} with init text" if value is None else "null without init text",
                reads=(f"{PROMPT}.init",),
            )


def check_prompt_loader(params: Params, path: str, loader: DataLoaderParams) -> Iterator[Problem]:
    """A soft prompt needs data that has a place for it."""
    has_prompt = params.trainer.init.model.soft_prompt is not None
    if has_prompt and loader.data_processor != PROMPT_PROCESSOR:
        yield Problem(
            path=f"{path}.data_processor",
            got=loader.data_processor,
            allowed=f"{PROMPT_PROCESSOR}, whose batches hold the soft prompt",
            reads=(PROMPT,),
        )


def check_prompt_data(
    params: Params, path: str, loader: DataLoaderParams, folder: str, manifest: Manifest
) -> Iterator[Problem]:
    """The layout of the examples in a folder against the model."""
    layout = manifest.options.get("prompt")
    if loader.data_processor != PROMPT_PROCESSOR:
        if layout is not None:
            yield Problem(
                path=f"{path}.data_processor",
                got=loader.data_processor,
                allowed=f"{PROMPT_PROCESSOR}, as {folder} holds task examples",
                reads=(f"{path}.data_dir",),
            )
        return
    if not isinstance(layout, dict):
        yield Problem(
            path=f"{path}.data_dir",
            got=f"{folder!r}, which holds no task examples",
            allowed="a folder that `mediswift pubmedqa` or `mediswift hoc` prepared",
        )
        return
    model = params.trainer.init.model
    prompt = model.soft_prompt
    reads = (f"{path}.data_dir", PROMPT)
    different = {each.key: each for each in prompt_disagreements(layout, model)}
    if number := different.get("num_virtual_tokens"):
        yield Problem(
            path=f"{PROMPT}.num_virtual_tokens" if prompt else PROMPT,
            got=str(number.model) if prompt else "null",
            allowed=f"{number.data} virtual tokens, as in {folder}",
            reads=reads,
        )
    elif place := different.get("position"):
        yield Problem(
            path=f"{PROMPT}.position",
            got=str(place.model),
            allowed=f"{place.data}, as in {folder}",
            reads=reads,
        )
    if size := different.get("vocab_size"):
        yield Problem(
            path=f"{MODEL}.vocab_size",
            got=str(size.model),
            allowed=f"{size.data}, the first virtual token's id in {folder}",
            hint=f"or prepare the examples with --vocab-size {size.model}",
            reads=reads,
        )
