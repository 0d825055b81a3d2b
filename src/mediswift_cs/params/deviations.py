"""docs/deviations.md, rendered from the table: every number that the paper does not state."""

from collections.abc import Mapping
from dataclasses import fields

from mediswift_cs.params.recipes import TITLES, scalar
from mediswift_cs.sizes import FINETUNING, RECIPE, SIZES, TINY_SOURCE, Mark, Source

HEADER = """\
# Numbers that are not quoted from the paper

Rendered from src/mediswift_cs/sizes.py by `python -m mediswift_cs.params --write`.

The source is "MediSwift: Efficient Sparse Pre-trained Biomedical Language Models"
(arXiv 2403.00952). Its full tables are not public at the time of writing, so most numbers of the
params files are inferred or our defaults. The marks, here and in the files:

- **Q** quoted by a public page or repository. The sizes 302M and 1.21B, the sparsity levels 50 %
  and 75 %, static sparsity, the six sparse weights of each layer, up to 104.86e9 tokens.
- **C** arithmetic on quoted numbers: 104,857,600,000 tokens.
- **I** inferred from quoted numbers or from the Cerebras files of the time.
- **D** our default, because the paper's value is not public.

Only I and D are listed below. Every number of the tiny size is D: {tiny}.

"""

VALUE_HEAD = ("| | value | mark | why |", "|---|---|---|---|")

# What the files say in words or flags rather than numbers.
CHOICES: dict[str, tuple[str, Source]] = {
    "stated size of large": (
        "510M",
        Source(Mark.INFERRED, "12 * 18 * 1536**2 = 509,607,936; no public page states it"),
    ),
    "position_embedding_type": ("learned", Source(Mark.INFERRED, "the Cerebras GPT-3 files")),
    "share_embedding_weights": ("true", Source(Mark.INFERRED, "the Cerebras GPT-3 files")),
    "attention_type": ("scaled_dot_product", Source(Mark.INFERRED, "the Cerebras GPT-3 files")),
    "biases of all projections": ("true", Source(Mark.INFERRED, "the Cerebras GPT-3 files")),
    "nonlinearity": ("gelu", Source(Mark.INFERRED, "the Cerebras GPT-3 files; the exact GELU")),
    "use_bias_in_output": ("false", Source(Mark.INFERRED, "the Cerebras GPT-3 files")),
    "norm placement": ("before each block", Source(Mark.INFERRED, "GPT-2 and GPT-3")),
    "output_layer_initializer": (
        "std / sqrt(2 * layers)",
        Source(Mark.DEFAULT, "GPT-2; derived for each depth instead of typed"),
    ),
    "init_method of sparsity": (
        "random, the same fraction in each matrix",
        Source(Mark.INFERRED, "the Cerebras files of static sparsity"),
    ),
    "learning rate of sparse variants": (
        "that of the dense one",
        Source(Mark.INFERRED, "the practice of the time"),
    ),
    "weights that decay": (
        "weights and embeddings, not biases and layer norms",
        Source(Mark.DEFAULT, "what ModelZoo 2.10 does with this optimizer block"),
    ),
    "schedule": (
        "linear warm-up, then cosine decay",
        Source(Mark.DEFAULT, "GPT-3 and the larger Cerebras GPT-3 files"),
    ),
    "fp16_type on CSX": (
        "cbfloat16, precision_opt_level 1, dynamic loss scaling",
        Source(Mark.DEFAULT, "the newer Cerebras GPT-3 files"),
    ),
}


def render_deviations() -> str:
    """The text of docs/deviations.md."""
    published = [size for size in SIZES.values() if size.is_published]
    titles = [TITLES[size.name] for size in published]
    lines = [
        "## Numbers of each size",
        "",
        "| | " + " | ".join(titles) + " | mark | why |",
        "|" + "---|" * (len(titles) + 3),
    ]
    sources = published[0].sources
    for name, source in _listed(sources).items():
        values = [scalar(getattr(size, name)) for size in published]
        lines.append(_row(name, *values, source=source))
    lines += [
        "",
        "## Numbers that all sizes share",
        "",
        "| | value | mark | why |",
        "|---|---|---|---|",
    ]
    shared = {f.name: scalar(getattr(RECIPE, f.name)) for f in fields(RECIPE)}
    for name, source in _listed(RECIPE.sources).items():
        lines.append(_row(name, shared[name], source=source))
    lines += ["", "## Fine-tuning, sizes med, large and xl", "", *_finetuning_table()]
    lines += [
        "",
        "## Choices that are no numbers",
        "",
        "| | value | mark | why |",
        "|---|---|---|---|",
    ]
    for name, (value, source) in CHOICES.items():
        lines.append(_row(name, value, source=source))
    return HEADER.format(tiny=TINY_SOURCE.why) + "\n".join(lines) + "\n"


def _finetuning_table() -> list[str]:
    tasks = FINETUNING["xl"]
    heads = ["", *(task.title for task in tasks), "mark", "why"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, source in _listed(tasks[0].sources).items():
        values = [scalar(getattr(task, name)) for task in tasks]
        lines.append(_row(f"fine-tuning {name}", *values, source=source))
    return lines


def _listed(sources: Mapping[str, Source]) -> dict[str, Source]:
    quoted = (Mark.QUOTED, Mark.COMPUTED)
    return {name: source for name, source in sources.items() if source.mark not in quoted}


def _row(name: str, *values: str, source: Source) -> str:
    return "| " + " | ".join([name, *values, source.mark, source.why]) + " |"
