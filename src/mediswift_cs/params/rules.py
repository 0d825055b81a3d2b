"""What holds between the keys of a params file. Data folders are in data_rules.py."""

import re
from collections.abc import Iterator

from mediswift_cs.params.dataloader import OUR_PROCESSOR, PROMPT_PROCESSOR
from mediswift_cs.params.problem import Problem, misfit, spell
from mediswift_cs.params.schedule_rules import INIT, MAX_STEPS, check_schedules
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.params.sparsity_rules import check_sparsity

MODEL = f"{INIT}.model"
PROMPT = f"{MODEL}.soft_prompt"


def check_rules(params: Params) -> Iterator[Problem]:
    """Every rule that reads the params file alone."""
    yield from _model(params)
    yield from check_sparsity(params)
    yield from _run_length(params)
    yield from check_schedules(params)
    yield from _adjusted_rates(params)
    yield from _precision(params)
    yield from _cluster(params)
    yield from _soft_prompt(params)
    for path, loader in dataloaders(params):
        yield from _dataloader(params, path, loader)


def dataloaders(
    params: Params, sections: tuple[str, ...] = ("trainer.",)
) -> list[tuple[str, DataLoaderParams]]:
    """Path and content of each dataloader whose path begins with one of `sections`.

    One that is written once and used twice comes once.
    """
    found: list[tuple[str, DataLoaderParams]] = []
    for name in ("fit", "validate_", "validate_all"):
        for key, content in getattr(params.trainer, name) or ():
            entries = content if isinstance(content, list) else [content]
            for index, loader in enumerate(entries):
                path = f"trainer.{name.rstrip('_')}.{key}" + f".{index}" * (len(entries) > 1)
                is_new = all(loader != other for _, other in found)
                if isinstance(loader, DataLoaderParams) and is_new and path.startswith(sections):
                    found.append((path, loader))
    return found


def _model(params: Params) -> Iterator[Problem]:
    model = params.trainer.init.model
    if model.hidden_size % model.num_heads:
        allowed = f"a divisor of hidden_size {model.hidden_size}"
        yield misfit(f"{MODEL}.num_heads", model, allowed, f"{MODEL}.hidden_size")
    for key in ("embedding_initializer", "initializer", "output_layer_initializer"):
        initializer, path = getattr(model, key), f"{MODEL}.{key}"
        if initializer.name == "truncated_normal" and initializer.a > initializer.b:
            reads = (f"{path}.b", f"{path}.std")
            yield misfit(f"{path}.a", initializer, f"at most b, {initializer.b:g}", *reads)
        if initializer.name == "truncated_normal" and initializer.std == 0:
            allowed = "more than 0 for truncated_normal"
            yield misfit(f"{path}.std", initializer, allowed, f"{MODEL}.initializer_range")


def _adjusted_rates(params: Params) -> Iterator[Problem]:
    """Rates of groups of weights: as in ModelZoo, a schedule applies them, to each weight once."""
    if (optimizer := params.trainer.init.optimizer) is None:
        return
    adjusted = optimizer.AdamW.adjust_learning_rate
    factors = adjusted.factors
    path = f"{INIT}.optimizer.AdamW.adjust_learning_rate"
    if factors and not params.trainer.init.schedulers:
        yield Problem(
            path=path,
            got=spell(factors),
            allowed="nothing without trainer.init.schedulers, which multiply the rate with it",
            reads=(f"{INIT}.schedulers",),
        )
    every = adjusted.decoder_kernel
    # A factor of 1 that is given is one that is asked for.
    for name in sorted(adjusted.model_fields_set - {"embedding"}):
        if every != 1.0 and (factor := getattr(adjusted, name)) != every:
            yield Problem(
                path=f"{path}.{name}",
                got=f"{factor:g}",
                allowed=f"{every:g} or nothing beside decoder_kernel, which has these weights too",
                reads=(f"{path}.decoder_kernel",),
            )


def _run_length(params: Params) -> Iterator[Problem]:
    loop = params.trainer.init.loop
    if not (loop.num_steps or loop.max_steps or loop.num_epochs):
        yield Problem(
            path=f"{INIT}.loop",
            got="no length of the run",
            allowed="max_steps, num_steps or num_epochs",
            reads=(MAX_STEPS, f"{INIT}.loop.num_steps", f"{INIT}.loop.num_epochs"),
        )


def _precision(params: Params) -> Iterator[Problem]:
    init = params.trainer.init
    precision, path = init.precision, f"{INIT}.precision"
    if precision.fp16_type == "cbfloat16" and precision.loss_scaling_factor != "dynamic":
        yield Problem(
            path=f"{path}.loss_scaling_factor",
            got=f"{precision.loss_scaling_factor:g}",
            allowed="dynamic, which cbfloat16 needs",
            reads=(f"{path}.fp16_type",),
        )
    if precision.max_gradient_norm is not None and precision.max_gradient_value is not None:
        allowed = "null beside max_gradient_norm, as gradients are clipped in one way"
        yield misfit(f"{path}.max_gradient_value", precision, allowed, f"{path}.max_gradient_norm")
    low, high = precision.min_loss_scale or 2.0**-14, precision.max_loss_scale
    if high is not None and high < low:
        reads = f"{path}.min_loss_scale"
        yield misfit(f"{path}.max_loss_scale", precision, f"at least min_loss_scale {low:g}", reads)
    if init.backend_type == "CSX" and "precision" not in init.model_fields_set:
        yield Problem(
            path=path,
            got="nothing",
            allowed="a precision block, as CSX computes in half precision",
            reads=(f"{INIT}.backend", f"{INIT}.device"),
        )


def _cluster(params: Params) -> Iterator[Problem]:
    """What cerebras.appliance's ClusterConfig takes, where it is asked."""
    init = params.trainer.init
    cluster, path = init.backend.cluster_config, f"{INIT}.backend.cluster_config"
    if cluster is None or init.backend_type != "CSX":
        return
    if cluster.job_priority not in ("p1", "p2", "p3"):
        yield misfit(f"{path}.job_priority", cluster, "p1, p2 or p3")
    for index, label in enumerate(cluster.job_labels or []):
        if not re.fullmatch(f"{_LABEL}={_LABEL}", label):
            allowed = "name=value, each at most 63 of A-Z a-z 0-9 - _ ."
            yield Problem(path=f"{path}.job_labels.{index}", got=spell(label), allowed=allowed)


_LABEL = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"


def _soft_prompt(params: Params) -> Iterator[Problem]:
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


def _dataloader(params: Params, path: str, loader: DataLoaderParams) -> Iterator[Problem]:
    init = params.trainer.init
    length, positions = loader.max_sequence_length, init.model.max_position_embeddings
    if length is not None and length > positions:
        allowed = f"at most max_position_embeddings {positions}"
        reads = f"{MODEL}.max_position_embeddings"
        yield misfit(f"{path}.max_sequence_length", loader, allowed, reads)
    if loader.shuffle and loader.shuffle_seed is None:
        allowed = "a whole number, as shuffle is true"
        yield misfit(f"{path}.shuffle_seed", loader, allowed, f"{path}.shuffle")
    cluster = init.backend.cluster_config
    if init.backend_type == "CSX" and cluster is not None and loader.batch_size % cluster.num_csx:
        allowed = f"a multiple of num_csx {cluster.num_csx}, as each takes a share of a batch"
        reads = f"{INIT}.backend.cluster_config.num_csx"
        yield misfit(f"{path}.batch_size", loader, allowed, reads)
    is_ours = loader.data_processor in (OUR_PROCESSOR, PROMPT_PROCESSOR)
    if loader.tokenizer_sha256 is not None and not is_ours:
        yield Problem(
            path=f"{path}.tokenizer_sha256",
            got=spell(loader.tokenizer_sha256),
            allowed=f"nothing, as {loader.data_processor} does not check it",
            reads=(f"{path}.data_processor",),
        )
    if init.model.soft_prompt is not None and loader.data_processor != PROMPT_PROCESSOR:
        allowed = f"{PROMPT_PROCESSOR}, whose batches hold the soft prompt ({PROMPT})"
        yield misfit(f"{path}.data_processor", loader, allowed, PROMPT)
