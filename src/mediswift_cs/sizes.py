"""The table of MediSwift models: every number of the params files, each with its source.

A mark says how sure a number is (docs/deviations.md explains each one that is not quoted):
Q quoted by a public page or repository, C arithmetic on quoted numbers, I inferred,
D our default, because the paper's value is not public.
"""

import math
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

from mediswift_cs.errors import ConfigError

# A few samples of this length are still a bounded buffer; no model comes near it.
MAX_SEQUENCE_LENGTH = 2**20


class Mark(StrEnum):
    """How sure a number is."""

    QUOTED = "Q"
    COMPUTED = "C"
    INFERRED = "I"
    DEFAULT = "D"


class Source(NamedTuple):
    """Where a number comes from."""

    mark: Mark
    why: str


def _from(mark: str, why: str, default: Any = MISSING) -> Any:
    """A field whose number has this source; without a default it differs between sizes."""
    return field(default=default, metadata={"source": Source(Mark(mark), why)})


TINY_SOURCE = Source(Mark.DEFAULT, "not of the paper: small enough to train on two CPU cores")


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A dataclass whose numbers say where they come from."""

    @property
    def sources(self) -> dict[str, Source]:
        """The source of each number, by name."""
        return {f.name: f.metadata["source"] for f in fields(self) if "source" in f.metadata}


@dataclass(frozen=True, kw_only=True)
class ModelSize(_Table):
    """One size: shape of the decoder, length and rate of training. Names are ModelZoo's."""

    name: str
    is_published: bool = True
    """Whether the paper has this size."""

    # Shape
    hidden_size: int = _from("I", "12 * layers * width**2 gives the stated sizes to the digit")
    num_hidden_layers: int = _from(
        "I", "12 * layers * width**2 gives the stated sizes to the digit"
    )
    num_heads: int = _from("I", "shapes of GPT-2 medium, Cerebras-GPT 590M and GPT-3 XL")
    filter_size: int = _from("I", "four times the width, as in every Cerebras GPT-3 file")
    vocab_size: int = _from("D", "GPT-2's BPE; the paper's vocabulary is not public", 50257)
    max_position_embeddings: int = _from(
        "I", "only 2048 gives the claimed 2 to 2.5 times fewer FLOPs", 2048
    )

    # Training
    batch_size: int = _from("D", "with max_steps, the quoted 104.86e9 tokens", 256)
    max_steps: int = _from("D", "with batch_size, the quoted 104.86e9 tokens", 200_000)
    warmup_steps: int = _from("D", "375 million tokens, as GPT-3", 715)
    peak_learning_rate: float = _from(
        "D", "that of GPT-3 Medium, Cerebras-GPT 590M and 1.3B; the same at each sparsity"
    )
    eval_frequency: int = _from("D", "20 evaluations a run", 10_000)
    checkpoint_steps: int = _from("D", "20 checkpoints a run", 10_000)
    update_freq: int = _from("D", "set, rigl: RigL and the Cerebras GPT-3 files of both", 100)
    log_steps: int = _from("D", "2,000 lines a run", 100)

    # Machine
    backend_type: str = _from("D", "the machine of the paper", "CSX")
    num_workers: int = _from("D", "as the Cerebras GPT-3 files", 1)

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"num_heads of size {self.name}: got {self.num_heads}, "
                f"allowed: a divisor of hidden_size {self.hidden_size}"
            )
        if self.warmup_steps >= self.max_steps:
            raise ConfigError(
                f"warmup_steps of size {self.name}: got {self.warmup_steps}, "
                f"allowed: fewer than max_steps {self.max_steps}"
            )

    @property
    def sources(self) -> dict[str, Source]:
        """The source of each number, by name."""
        sources = super().sources
        return sources if self.is_published else dict.fromkeys(sources, TINY_SOURCE)

    @property
    def num_tokens(self) -> int:
        """Tokens that the whole run trains on."""
        return self.batch_size * self.max_position_embeddings * self.max_steps

    @property
    def output_std(self) -> float:
        """GPT-2's 1/sqrt(2 * layers) scaling of the projections into the residual stream."""
        return RECIPE.initializer_std / math.sqrt(2 * self.num_hidden_layers)

    @property
    def decay_steps(self) -> int:
        """Steps of the cosine decay, from the end of warm-up to the end of the run."""
        return self.max_steps - self.warmup_steps

    @property
    def last_mask_step(self) -> int:
        """The step from which on masks stay as they are."""
        return round(RECIPE.dynamic_share * self.max_steps)

    @property
    def end_learning_rate(self) -> float:
        """The learning rate at the last step."""
        # Rounded, because 0.1 * 3e-4 is 3.0000000000000004e-05.
        return float(f"{RECIPE.end_learning_rate_fraction * self.peak_learning_rate:.6g}")


@dataclass(frozen=True, kw_only=True)
class Recipe(_Table):
    """What all sizes have in common."""

    layer_norm_epsilon: float = _from("I", "the Cerebras GPT-3 files", 1e-5)
    dropout_rate: float = _from(
        "I", "most Cerebras GPT-3 files, XL and 75 % sparse among them", 0.0
    )
    initializer_std: float = _from("D", "GPT-2 and the Cerebras GPT-3 files", 0.02)
    initializer_cut: float = _from("D", "in standard deviations; the Cerebras GPT-3 files", 2.0)
    adam_beta1: float = _from("D", "GPT-3 and the Cerebras GPT-3 files", 0.9)
    adam_beta2: float = _from("D", "GPT-3 and the Cerebras GPT-3 files", 0.95)
    adam_eps: float = _from("D", "GPT-3 and the Cerebras GPT-3 files", 1e-8)
    weight_decay: float = _from("D", "GPT-3 and the Cerebras GPT-3 files", 0.1)
    max_gradient_norm: float = _from("D", "GPT-3 and the Cerebras GPT-3 files", 1.0)
    end_learning_rate_fraction: float = _from("D", "cosine decay to a tenth, as GPT-3", 0.1)
    seed: int = _from("D", "any number; stated so that a run can be repeated", 1)
    shuffle_seed: int = _from("D", "any number; stated so that a run can be repeated", 0)
    prefetch_factor: int = _from("D", "as the Cerebras GPT-3 files", 10)
    drop_fraction: float = _from("D", "set, rigl: as the Cerebras GPT-3 files; on a cosine", 0.3)
    dynamic_share: float = _from(
        "D", "of the run, then masks stay: the Cerebras GPT-3 files of set and rigl", 0.75
    )
    num_prunings: int = _from("D", "gmp: steps of the cubic ramp of Zhu and Gupta, 2017", 30)
    num_kept_checkpoints: int = _from("D", "an XL checkpoint with moments has about 16 GB", 3)


RECIPE = Recipe()

_TINY_SIZE = ModelSize(
    name="tiny",
    is_published=False,
    hidden_size=256,
    num_hidden_layers=4,
    num_heads=4,
    filter_size=1024,
    vocab_size=4096,
    max_position_embeddings=256,
    batch_size=8,
    max_steps=600,
    warmup_steps=60,
    peak_learning_rate=2e-3,
    eval_frequency=200,
    checkpoint_steps=200,
    update_freq=10,
    log_steps=10,
    backend_type="CPU",
    num_workers=0,
)
# Name, hidden_size, num_hidden_layers, num_heads, peak_learning_rate.
_PUBLISHED = (
    ("med", 1024, 24, 16, 3e-4),
    ("large", 1536, 18, 12, 2e-4),
    ("xl", 2048, 24, 16, 2e-4),
)

SIZES: dict[str, ModelSize] = {"tiny": _TINY_SIZE} | {
    name: ModelSize(
        name=name,
        hidden_size=width,
        num_hidden_layers=layers,
        num_heads=heads,
        filter_size=4 * width,
        peak_learning_rate=rate,
    )
    for name, width, layers, heads, rate in _PUBLISHED
}

# Fraction of zeros in each projection matrix (Q). The first mask is random, with the same count
# in each matrix of a shape (I); it never changes (Q, "static").
SPARSITY_LEVELS: dict[str, float] = {"dense": 0.0, "50": 0.5, "75": 0.75}

# cerebras.pytorch's methods with masks that change, the paper's future work, and the level of the
# files that have them.
DYNAMIC_METHODS: dict[str, str] = {"set": "SET", "rigl": "RigL", "gmp": "gradual magnitude pruning"}
DYNAMIC_LEVEL = "75"

# The weights that are sparse (Q, the sister paper): four projections of attention and two of
# feed-forward a layer, as glob patterns of ModelZoo's parameter names.
SPARSE_WEIGHTS: tuple[str, ...] = (
    "*proj_[qkv]_dense_layer.weight",
    "*proj_output_dense_layer.weight",
    "*linear_layer.weight",
)


@dataclass(frozen=True, kw_only=True)
class FineTuning(_Table):
    """One task to fine-tune on. Defaults are BioGPT's, the very probable donor of the recipe."""

    task: str
    title: str
    prepare: str
    """The command that makes the data."""

    num_virtual_tokens: int = _from("I", "BioGPT: 9 for PubMedQA, 1 for HoC")
    position: str = _from("I", "BioGPT: between source and answer", "infix")
    init: str = _from("I", "BioGPT: like a new word", "random")
    max_sequence_length: int = _from("D", "no abstract of PubMedQA or HoC is longer", 1024)
    batch_size: int = _from("I", "BioGPT: about 32,800 tokens an update", 90)
    max_steps: int = _from("I", "BioGPT: 100 epochs of PubMedQA, 20,000 updates of HoC")
    warmup_steps: int = _from("I", "BioGPT: 100 for PubMedQA, 1,000 for HoC")
    eval_frequency: int = _from("D", "each tenth epoch of PubMedQA, 20 evaluations of HoC")
    peak_learning_rate: float = _from("I", "BioGPT", 1e-5)
    adam_beta1: float = _from("I", "BioGPT", 0.9)
    adam_beta2: float = _from("I", "BioGPT", 0.98)
    weight_decay: float = _from("I", "BioGPT", 0.01)


_PUBMEDQA = FineTuning(
    task="pubmedqa",
    title="PubMedQA, reasoning-required",
    prepare="mediswift pubmedqa labelled",
    num_virtual_tokens=9,
    max_steps=500,
    warmup_steps=100,
    eval_frequency=50,
)
_HOC = FineTuning(
    task="hoc",
    title="Hallmarks of Cancer",
    prepare="mediswift hoc",
    num_virtual_tokens=1,
    max_steps=20_000,
    warmup_steps=1000,
    eval_frequency=1000,
)
_ARTIFICIAL = replace(
    _PUBMEDQA,
    task="artificial",
    title="artificial yes/no questions",
    prepare="mediswift pubmedqa artificial",
)
# What a tiny model needs: more and shorter steps at a higher rate.
_TINY: dict[str, Any] = {
    "max_sequence_length": 256,
    "batch_size": 15,
    "max_steps": 300,
    "warmup_steps": 30,
    "eval_frequency": 60,
    "peak_learning_rate": 5e-4,
}

# The demo's: 1.6 times over 1,000 labelled abstracts, before random weights catch up. A soft prompt
# gave no benefit at this size.
_TINY_CLASSIFICATION = replace(
    _PUBMEDQA,
    task="classification",
    title="a classification of abstracts",
    prepare="mediswift classify",
    num_virtual_tokens=0,
    max_sequence_length=128,
    batch_size=16,
    max_steps=100,
    warmup_steps=20,
    eval_frequency=20,
    peak_learning_rate=5e-4,
)

# Size name -> its fine-tuning files.
FINETUNING: dict[str, tuple[FineTuning, ...]] = {
    "tiny": (
        *(replace(task, **_TINY) for task in (_PUBMEDQA, _HOC, _ARTIFICIAL)),
        _TINY_CLASSIFICATION,
    ),
    **{name: (_PUBMEDQA, _HOC) for name in SIZES if name != "tiny"},
}
