"""The shipped params files and docs/deviations.md, rendered from the table of sizes.

The text is in ``templates/``; here are the values that go into it. All files come from one table,
so that they cannot drift apart.
"""

import difflib
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import mediswift_cs
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.dataloader import OUR_PROCESSOR, PROMPT_PROCESSOR
from mediswift_cs.params.decoder import ModelParams, SoftPromptParams
from mediswift_cs.params.weights import num_parameters
from mediswift_cs.sizes import (
    DYNAMIC_LEVEL,
    DYNAMIC_METHODS,
    FINETUNING,
    RECIPE,
    SIZES,
    SPARSE_WEIGHTS,
    SPARSITY_LEVELS,
    TINY_SOURCE,
    FineTuning,
    ModelSize,
    Recipe,
    Source,
)
from mediswift_cs.storage.write import write_text
from mediswift_cs.tokens.tokenizer import GPT2_TOKENIZER_SHA256

GPT2_VOCAB_SIZE = 50257

TITLES = {"xl": "XL"}


def render_all() -> dict[str, str]:
    """File name, such as ``mediswift_xl_75.yaml`` -> text of every pre-training file."""
    plain = {
        f"mediswift_{name}_{level}.yaml": render(size, level)
        for name, size in SIZES.items()
        for level in SPARSITY_LEVELS
    }
    corrected = {
        f"mediswift_{name}_{level}_supar.yaml": render(size, level, is_corrected=True)
        for name, size in SIZES.items()
        for level, sparsity in SPARSITY_LEVELS.items()
        if sparsity
    }
    dynamic = {
        f"mediswift_{name}_{DYNAMIC_LEVEL}_{method}.yaml": render(
            size, DYNAMIC_LEVEL, method=method
        )
        for name, size in SIZES.items()
        for method in DYNAMIC_METHODS
    }
    return plain | corrected | dynamic


def render_all_finetuning() -> dict[str, str]:
    """File name, such as ``finetuning/mediswift_xl_hoc.yaml`` -> text of every fine-tuning file."""
    return {
        f"finetuning/mediswift_{name}_{task.task}.yaml": render_finetuning(SIZES[name], task)
        for name, tasks in FINETUNING.items()
        for task in tasks
    }


def rendered_files() -> dict[str, str]:
    """Path below the checkout -> text; docs/deviations.md has what the paper does not state."""
    texts = {**render_all(), **render_all_finetuning()}
    deviations = _render(
        "deviations.md",
        tiny=TINY_SOURCE,
        published=[size for size in SIZES.values() if size.is_published],
        recipe=RECIPE,
        tasks=FINETUNING["xl"],
    )
    files = {f"params/{name}": text for name, text in texts.items()}
    return {**files, "docs/deviations.md": deviations}


def differences(root: Path) -> list[str]:
    """A unified diff for each file that is not what the table says; empty if all are."""
    diffs = []
    for name, text in rendered_files().items():
        path = root / name
        found = path.read_text(encoding="utf-8") if path.is_file() else ""
        if found != text:
            lines = difflib.unified_diff(
                found.splitlines(), text.splitlines(), name, f"{name} (rendered)", "", "", 1, ""
            )
            diffs.append("\n".join(lines))
    return diffs


def write(root: Path) -> list[Path]:
    """Write every rendered file, each in one move; returns their paths."""
    return [write_text(root / name, text) for name, text in rendered_files().items()]


def check_or_write(*, write_files: bool, root: Path | None = None) -> int:
    """What ``--check`` and ``--write`` do in a checkout, the one of this package if not `root`.

    Returns:
        1 if ``--check`` found a difference, else 0.

    Raises:
        ConfigError: there is no checkout; an installed package has none.
    """
    checkout = root or Path(mediswift_cs.__file__).parents[2]
    if not (checkout / "params").is_dir():
        raise ConfigError(f"--root: got {checkout}, allowed: a checkout with a folder params")
    if write_files:
        print(f"{len(write(checkout))} files written below {checkout}")
        return 0
    diffs = differences(checkout)
    verdict = f"{len(diffs)} of {len(rendered_files())} files differ from the table of sizes"
    print(*diffs, verdict, sep="\n")
    return 1 if diffs else 0


def render(
    size: ModelSize, level: str, *, is_corrected: bool = False, method: str = "static"
) -> str:
    """The text of one pre-training file; a sparse one has one block more than its dense sibling."""
    sparsity = SPARSITY_LEVELS[level]
    return render_pretraining(size, sparsity, is_corrected=is_corrected, method=method)


def render_pretraining(size: ModelSize, sparsity: float, *, is_corrected: bool, method: str) -> str:
    """The text of a pre-training file at any sparsity; 0 is dense.

    ``is_corrected``: SuPar's corrections for the density (arXiv 2405.15743, Table 1), so that one
    peak learning rate serves every sparsity. ``method``: of :data:`DYNAMIC_METHODS`.
    """
    density = 1.0 - sparsity if is_corrected else 1.0
    return _render(
        "pretraining.yaml",
        **_values(size, density),
        is_corrected=is_corrected,
        rate_factor=_scalar(1.0 / density),
        model_name="mediswift",
        data_processor=OUR_PROCESSOR,
        folder="pubmed",
        sample_length=_marked(size)["max_position_embeddings"],
        num_parameters=f"{num_parameters(model_params(size)):,}",
        num_tokens=f"{size.num_tokens:,}",
        sparsity_title=_sparsity_title(sparsity, method) if sparsity else "dense",
        sparsity=_scalar(sparsity) if sparsity else None,
        param_filter=SPARSE_WEIGHTS,
        method=method,
        last_mask_step=size.last_mask_step,
        **(_cubic_ramp(size, sparsity) if method == "gmp" else {}),
    )


def _sparsity_title(sparsity: float, method: str) -> str:
    how = f", {DYNAMIC_METHODS[method]}" if method in DYNAMIC_METHODS else ""
    return f"{100 * sparsity:g} % {'dynamic' if how else 'static'} weight sparsity{how}"


def _cubic_ramp(size: ModelSize, final: float) -> dict[str, Any]:
    """Zhu and Gupta's schedule (arXiv 1710.01878, equation 1) from 0 to `final`.

    cerebras.pytorch has no cubic, so each value of it stands in the file.
    """
    number = RECIPE.num_prunings
    left = [(1 - index / number) ** 3 for index in range(number + 1)]
    freq = size.last_mask_step // number
    # An update at `stop` is not made.
    return {
        "ramp": [_scalar(round(final * (1 - share), 6)) for share in left],
        "ramp_freq": freq,
        "ramp_stop": freq * number + 1,
    }


def render_finetuning(size: ModelSize, task: FineTuning) -> str:
    """The text of one fine-tuning file: the decoder of the size, the recipe of the task."""
    model = model_params(size)
    if task.num_virtual_tokens:
        prompt = SoftPromptParams(num_virtual_tokens=task.num_virtual_tokens)
        model = model.model_copy(update={"soft_prompt": prompt})
    marked = _marked(task, None if size.is_published else TINY_SOURCE)
    # The rate is continuous where the warm-up ends.
    scale = f"{_scalar(math.sqrt(task.warmup_steps))}  # the square root of warmup_steps"
    derived = {"checkpoint_steps": marked["eval_frequency"], "log_steps": "10", "scale": scale}
    return _render(
        "finetuning.yaml",
        **{**_values(size), **marked, **derived},
        model_name="mediswift_finetuning",
        data_processor=PROMPT_PROCESSOR,
        folder=task.task,
        sample_length=marked["max_sequence_length"],
        num_parameters=f"{num_parameters(model):,}",
        task=task,
    )


def model_params(size: ModelSize) -> ModelParams:
    """The decoder of a size, as far as it decides the shapes of the weights."""
    names = {field.name for field in fields(size)} & set(ModelParams.model_fields) - {"name"}
    return ModelParams(name="mediswift", **{name: getattr(size, name) for name in names})


def _values(size: ModelSize, density: float = 1.0) -> dict[str, Any]:
    """Every value that the two kinds of files share, with its mark as a comment.

    ``density``: of the projections, for which their initial weights are corrected.
    """
    deviations = {
        "embedding": RECIPE.initializer_std,
        "projection": RECIPE.initializer_std / math.sqrt(density),
        "output": size.output_std / math.sqrt(density),
    }
    bounds = {"std": 1.0, "a": -RECIPE.initializer_cut, "b": RECIPE.initializer_cut}
    derived = {
        f"{name}_{bound}": factor * std
        for name, std in deviations.items()
        for bound, factor in bounds.items()
    } | {
        "end_learning_rate": size.end_learning_rate,
        "decay_steps": size.decay_steps,
    }
    tokenizer = "null  # any; or the tokenizer's sha256 in the data's manifest.json, to be checked"
    if size.vocab_size == GPT2_VOCAB_SIZE:
        tokenizer = f"{GPT2_TOKENIZER_SHA256}  # GPT-2's"
    return {
        **_marked(size),
        **_marked(RECIPE),
        **{name: f"{_scalar(value)}  # D" for name, value in derived.items()},
        "title": TITLES.get(size.name, size.name.capitalize()),
        "is_csx": size.backend_type == "CSX",
        "tokenizer_sha256": tokenizer,
    }


def _marked(
    table: ModelSize | Recipe | FineTuning, elsewhere: Source | None = None
) -> dict[str, str]:
    """Each number of a table as YAML, with its mark as a comment; `elsewhere` changes the mark."""
    # The soft prompt is always the task's; everything else is chosen for two CPU cores.
    kept = ("num_virtual_tokens", "position", "init")
    return {
        name: f"{_scalar(getattr(table, name))}  # "
        f"{(source if elsewhere is None or name in kept else elsewhere).mark}"
        for name, source in table.sources.items()
    }


def _scalar(value: float | int | str) -> str:
    """A YAML scalar that every YAML 1.1 reader takes for the same type."""
    text = str(value)
    # Without the dot, YAML 1.1 reads 6e-05 as text.
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


_ENVIRONMENT = Environment(
    loader=PackageLoader("mediswift_cs.params"),
    undefined=StrictUndefined,
    autoescape=False,  # YAML and Markdown
    trim_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters["scalar"] = _scalar


def _render(name: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(f"{name}.jinja").render(values)
