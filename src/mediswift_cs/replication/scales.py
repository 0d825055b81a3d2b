"""What is run at each scale: the arms, their sizes, rates and seeds. All numbers are ours (D)."""

from dataclasses import dataclass, replace
from typing import Literal

from mediswift_cs.errors import ConfigError
from mediswift_cs.flops import run_flops, shape_of_size
from mediswift_cs.replication.recipe import WARMUP_FRACTION
from mediswift_cs.sizes import DYNAMIC_METHODS, FINETUNING, SIZES, FineTuning, ModelSize

# The sparsity that the equal-FLOPs controls, and fine-tuning, are about.
MAIN_SPARSITY = 0.75


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of pre-training.

    Attributes:
        is_corrected: SuPar's corrections for the density.
        control: a dense model with the training FLOPs of the sparse one: trained for fewer steps,
            or of fewer weights.
        rate_of: the arm whose best rate it takes, to show what comes of that; None: its own.
        method: how the masks change, of :data:`~mediswift_cs.sizes.DYNAMIC_METHODS`; or ``static``.
    """

    name: str
    sparsity: float = 0.0
    method: str = "static"
    is_corrected: bool = False
    control: Literal["", "short", "small"] = ""
    rate_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class TunedArm:
    """One way of fine-tuning.

    Attributes:
        start: the arm whose weights it starts from; None: random weights.
        keeps_masks: the pruned weights stay at zero.
    """

    name: str
    start: str | None
    keeps_masks: bool = False
    num_virtual_tokens: int = 0


DENSE = Arm(name="dense")
SHORT = Arm(name="dense, shorter", control="short")
SMALL = Arm(name="dense, smaller", control="small")


def corrected(sparsity: float) -> Arm:
    """Sparse, with SuPar's corrections."""
    return Arm(name=f"{sparsity:.0%} sparse, corrected", sparsity=sparsity, is_corrected=True)


def standard(sparsity: float) -> Arm:
    """Sparse, with standard parameterization."""
    return Arm(name=f"{sparsity:.0%} sparse, standard", sparsity=sparsity)


def dynamic(method: str) -> Arm:
    """Masks that change. Standard parameterization: SuPar's corrections are for static ones."""
    name = f"{MAIN_SPARSITY:.0%} sparse, {DYNAMIC_METHODS[method]}"
    return Arm(name=name, sparsity=MAIN_SPARSITY, method=method)


SPARSE = corrected(MAIN_SPARSITY)

TUNED_DENSE = TunedArm(name="dense", start=DENSE.name)
TUNED_SPARSE = TunedArm(name="sparse, then dense", start=SPARSE.name)
TUNED_MASKED = TunedArm(name="sparse, masks kept", start=SPARSE.name, keeps_masks=True)
TUNED_SHORT = TunedArm(name="dense, shorter", start=SHORT.name)
TUNED_SMALL = TunedArm(name="dense, smaller", start=SMALL.name)
TUNED_SCRATCH = TunedArm(name="from random weights", start=None)
TUNED_PROMPT = TunedArm(
    name="sparse, then dense, soft prompt", start=SPARSE.name, num_virtual_tokens=9
)
TUNED_ARMS = (
    *(TUNED_DENSE, TUNED_SPARSE, TUNED_MASKED, TUNED_SHORT, TUNED_SMALL),
    *(TUNED_SCRATCH, TUNED_PROMPT),
)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the whole is.

    Attributes:
        sparsities: of the corrected arms; the highest is also tried with standard parameterization.
        rates: of each pre-training sweep, an octave apart; a sweep widens where it has to.
        num_seeds: of each arm at its best rate; the sweeps have a seed of their own.
        tuning: shape and length of fine-tuning; ``tuning_rates`` are those of its sweeps.
        num_records: PubMed records to read.
        methods: of dynamic sparsity, an arm each; the host cerebras trains them.
    """

    name: str
    size: ModelSize
    sparsities: tuple[float, ...]
    rates: tuple[float, ...]
    num_seeds: int
    tuning: FineTuning
    tuning_rates: tuple[float, ...]
    num_records: int
    methods: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every way of pre-training."""
        highest = standard(max(self.sparsities))
        main = standard(MAIN_SPARSITY)
        at_dense_rate = replace(main, name=f"{main.name}, dense rate", rate_of=DENSE.name)
        others = [corrected(sparsity) for sparsity in self.sparsities]
        standards = dict.fromkeys((main, highest))
        return (DENSE, *others, *standards, at_dense_rate, *self.dynamic_arms, SHORT, SMALL)

    @property
    def dynamic_arms(self) -> tuple[Arm, ...]:
        """Those whose masks change."""
        return tuple(map(dynamic, self.methods))

    @property
    def tuned(self) -> tuple[TunedArm, ...]:
        """Every way of fine-tuning."""
        return TUNED_ARMS

    def size_of(self, arm: Arm, rate: float | None = None) -> ModelSize:
        """The shape and the length of an arm's model, with a peak learning rate."""
        size = self.size if rate is None else replace(self.size, peak_learning_rate=rate)
        if not arm.control:
            return size
        target = training_flops(self.size, MAIN_SPARSITY)
        if arm.control == "small":
            return smaller(size, target)
        return shortened(size, round(size.max_steps * target / training_flops(size)))


def training_flops(size: ModelSize, sparsity: float = 0.0) -> int:
    """The operations of a whole run; pruned weights cost nothing."""
    one = shape_of_size(size, sparsity).training_flops()
    return run_flops(one, size.num_tokens, size.max_position_embeddings).total


def num_weights(size: ModelSize, sparsity: float = 0.0) -> int:
    """The weights of the projections that are not pruned."""
    shape = shape_of_size(size, sparsity)
    return shape.num_projection_weights + shape.num_feed_forward_weights


def shortened(size: ModelSize, num_steps: int) -> ModelSize:
    """The same model trained for fewer steps, its schedule shortened with them."""
    if num_steps < 2:
        raise ConfigError(f"steps of a shorter run: got {num_steps}, allowed: 2 or more")
    warmup = max(1, round(WARMUP_FRACTION * num_steps))
    return replace(
        size,
        max_steps=num_steps,
        warmup_steps=warmup,
        eval_frequency=num_steps,
        checkpoint_steps=min(size.checkpoint_steps, num_steps),
    )


def smaller(size: ModelSize, target: int) -> ModelSize:
    """The dense model, trained on as many tokens, whose run takes ``target`` operations.

    Width and inner width keep their ratio as far as the heads divide the width; the inner width
    makes up for the rest.
    """

    def distance(candidate: ModelSize) -> int:
        return abs(training_flops(candidate) - target)

    ratio = size.filter_size // size.hidden_size
    widths = range(size.num_heads, size.hidden_size + 1, size.num_heads)
    shapes = (replace(size, hidden_size=w, filter_size=ratio * w) for w in widths)
    nearest = min(shapes, key=distance)
    inner = range(1, 2 * size.filter_size + 1)
    return min((replace(nearest, filter_size=each) for each in inner), key=distance)


_MICRO = replace(
    SIZES["tiny"],
    name="micro",
    hidden_size=128,
    filter_size=512,
    vocab_size=2048,
    max_position_embeddings=128,
    batch_size=16,
    checkpoint_steps=192,
    log_steps=32,
)
_MICRO = shortened(_MICRO, 384)
_NANO = replace(
    _MICRO,
    name="nano",
    hidden_size=32,
    num_hidden_layers=2,
    filter_size=128,
    vocab_size=512,
    max_position_embeddings=96,
    batch_size=8,
    checkpoint_steps=300,
    log_steps=60,
)
_NANO = shortened(_NANO, 300)
(_TUNING,) = (task for task in FINETUNING["tiny"] if task.task == "classification")
_TUNING = replace(_TUNING, eval_frequency=100)

SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            size=_NANO,
            sparsities=(0.5, 0.75),
            rates=(2.0**-8, 2.0**-6, 2.0**-4),
            # An error of the rate has to refute a claim after Holm's correction: three are too few.
            num_seeds=4,
            tuning=replace(
                _TUNING,
                max_sequence_length=96,
                batch_size=4,
                max_steps=20,
                warmup_steps=2,
                eval_frequency=20,
            ),
            tuning_rates=(2.0**-8, 2.0**-6, 2.0**-4),
            num_records=3000,
        ),
        Scale(
            name="hour",
            size=_MICRO,
            sparsities=(0.5, 0.75),
            rates=tuple(2.0**-exponent for exponent in (8, 7, 6, 5)),
            # With three, no difference of a few seeds' size survives Holm's correction.
            num_seeds=5,
            tuning=_TUNING,
            tuning_rates=tuple(2.0**-exponent for exponent in (11, 10, 9)),
            num_records=30_000,
        ),
        # One size for sweeps and arms: with standard parameterization the best rate moves with the
        # width as well.
        Scale(
            name="night",
            size=shortened(replace(SIZES["tiny"], checkpoint_steps=300), 600),
            sparsities=(0.5, 0.75, 0.9),
            rates=tuple(2.0**-exponent for exponent in (10, 9, 8, 7, 6)),
            num_seeds=5,
            tuning=replace(_TUNING, max_steps=150, warmup_steps=30, eval_frequency=150),
            tuning_rates=tuple(2.0**-exponent for exponent in (12, 11, 10)),
            num_records=30_000,
            methods=tuple(DYNAMIC_METHODS),
        ),
    )
}
