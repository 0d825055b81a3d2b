"""The shipped params files, rendered from the table of sizes, so that they cannot drift apart."""

from dataclasses import fields
from string import Template

from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.params.shared_template import DATALOADERS, MODEL, OPTIMIZER, PRECISION
from mediswift_cs.params.template import PRETRAINING, SPARSITY
from mediswift_cs.params.weights import num_parameters
from mediswift_cs.sizes import (
    RECIPE,
    SIZES,
    SPARSE_WEIGHTS,
    SPARSITY_LEVELS,
    FineTuning,
    ModelSize,
    Recipe,
    Source,
)
from mediswift_cs.tokens.tokenizer import GPT2_TOKENIZER_SHA256

GPT2_VOCAB_SIZE = 50257

TITLES = {"tiny": "Tiny", "med": "Med", "large": "Large", "xl": "XL"}


def file_name(size: str, level: str) -> str:
    """The shipped file of a size and a sparsity level: ``mediswift_xl_75.yaml``."""
    return f"mediswift_{size}_{level}.yaml"


def render_all() -> dict[str, str]:
    """File name -> text of every shipped file."""
    return {
        file_name(size, level): render(SIZES[size], level)
        for size in SIZES
        for level in SPARSITY_LEVELS
    }


def render(size: ModelSize, level: str) -> str:
    """The text of one file; a sparse one has one block more than its dense sibling."""
    values = template_values(size)
    blocks = shared_blocks(
        values,
        size.backend_type,
        model_name="mediswift",
        data_processor="MediSwiftPretrainingDataProcessor",
        folder="pubmed",
        sample_length=values["max_position_embeddings"],
    )
    return Template(PRETRAINING).substitute(
        values,
        **blocks,
        title=TITLES[size.name],
        num_parameters=f"{num_parameters(model_params(size)):,}",
        num_tokens=f"{size.num_tokens:,}",
        sparsity_title=_sparsity_title(level),
        sparsity=_sparsity_block(level),
    )


def shared_blocks(
    values: dict[str, str],
    backend_type: str,
    *,
    model_name: str,
    data_processor: str,
    folder: str,
    sample_length: str,
) -> dict[str, str]:
    """The blocks of shared_template.py by the names that both templates give them."""
    return {
        "model": Template(MODEL).substitute(values, model_name=model_name),
        "optimizer": Template(OPTIMIZER).substitute(values),
        "precision": Template(PRECISION[backend_type]).substitute(values),
        "dataloaders": Template(DATALOADERS).substitute(
            values, data_processor=data_processor, folder=folder, sample_length=sample_length
        ),
    }


def model_params(size: ModelSize) -> ModelParams:
    """The decoder of a size, as far as it decides the shapes of the weights."""
    return ModelParams(
        name="mediswift",
        vocab_size=size.vocab_size,
        hidden_size=size.hidden_size,
        max_position_embeddings=size.max_position_embeddings,
        num_hidden_layers=size.num_hidden_layers,
        num_heads=size.num_heads,
        filter_size=size.filter_size,
    )


def scalar(value: float | int | str) -> str:
    """A YAML scalar that every YAML 1.1 reader takes for the same type."""
    text = str(value)
    # Without the dot, YAML 1.1 reads 6e-05 as text.
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


def template_values(size: ModelSize) -> dict[str, str]:
    """Every number of the template, with its mark as a comment."""
    cut = RECIPE.initializer_cut
    values = {**marked(size, size.sources), **marked(RECIPE, RECIPE.sources)}
    derived: dict[str, float | int] = {
        "initializer_a": -cut * RECIPE.initializer_std,
        "initializer_b": cut * RECIPE.initializer_std,
        "output_std": size.output_std,
        "output_a": -cut * size.output_std,
        "output_b": cut * size.output_std,
        "end_learning_rate": size.end_learning_rate,
        "decay_steps": size.decay_steps,
    }
    values.update({name: f"{scalar(value)}  # D" for name, value in derived.items()})
    values["tokenizer_sha256"] = _tokenizer_sha256(size)
    return values


def marked(table: ModelSize | Recipe | FineTuning, sources: dict[str, Source]) -> dict[str, str]:
    """Each number of a table as YAML, with its mark as a comment."""
    return {
        f.name: f"{scalar(getattr(table, f.name))}  # {sources[f.name].mark}"
        for f in fields(table)
        if f.name in sources
    }


def _tokenizer_sha256(size: ModelSize) -> str:
    if size.vocab_size == GPT2_VOCAB_SIZE:
        return f"{GPT2_TOKENIZER_SHA256}  # GPT-2's"
    return "null  # any; or the tokenizer's sha256 in the data's manifest.json, to be checked"


def _sparsity_title(level: str) -> str:
    if level == "dense":
        return "dense"
    return f"{level} % static weight sparsity"


def _sparsity_block(level: str) -> str:
    if level == "dense":
        return ""
    patterns = "\n".join(f"      - '{pattern}'" for pattern in SPARSE_WEIGHTS)
    return Template(SPARSITY).substitute(level=scalar(SPARSITY_LEVELS[level]), patterns=patterns)
