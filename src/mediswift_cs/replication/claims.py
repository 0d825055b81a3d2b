"""The claims of the paper, the numbers that each is judged by, and what refutes it."""

import math
from collections.abc import Callable

from mediswift_cs.replication import scales
from mediswift_cs.replication.measured import Measured
from mediswift_cs.replication.scales import DENSE, SHORT, SMALL, SPARSE, Arm, TunedArm
from mediswift_cs.replication.statistics import (
    difference,
    log2_rate,
    paired,
    paired_over_documents,
    slope,
)
from mediswift_cs.replication.verdicts import BITS, OCTAVES, POINTS, RATIO, Claim, Evidence, Part
from mediswift_cs.sizes import DYNAMIC_METHODS


def _shift(measured: Measured, arm: Arm, *, low: float, high: float = math.inf) -> Part:
    """By how many octaves the best rate of an arm is above the dense one's."""
    spread = measured.noise
    first, second = (log2_rate(measured.vertex_of(n), spread) for n in (arm.name, DENSE.name))
    return Part(f"best rate, {arm.name} - dense", difference(first, second), OCTAVES, low, high)


def rate_rises(measured: Measured) -> Evidence:
    """Claim C1: the best rate of a sparse model lies above the dense one's."""
    arm = scales.standard(max(measured.sparsities))
    if missing := measured.unbracketed([DENSE.name, arm.name]):
        return Evidence(missing=missing)
    return Evidence([_shift(measured, arm, low=0.5)])


def rate_stays(measured: Measured) -> Evidence:
    """Claim C2: with SuPar's corrections one rate is best at every sparsity."""
    arms = [scales.corrected(sparsity) for sparsity in measured.sparsities]
    if missing := measured.unbracketed([DENSE.name, *(arm.name for arm in arms)]):
        return Evidence(missing=missing)
    return Evidence([_shift(measured, arm, low=-0.5, high=0.5) for arm in arms])


def activations(measured: Measured) -> Evidence:
    """Claim C3: with the corrections, activations are as large as in a dense model."""
    bounds = {
        scales.standard(scales.MAIN_SPARSITY): (-math.inf, 0.5),
        SPARSE: (0.7, 1.4),
    }
    parts = []
    for arm, (low, high) in bounds.items():
        for block in measured.outputs[DENSE.name][0]:
            ratios = [
                math.log2(sparse[block] / dense[block])
                for sparse, dense in zip(
                    measured.outputs[arm.name], measured.outputs[DENSE.name], strict=True
                )
            ]
            logs = (math.log2(low) if low > 0 else low, math.log2(high))
            parts.append(Part(f"{block}, {arm.name} / dense", paired(ratios), RATIO, *logs))
    return Evidence(parts)


def _gain(measured: Measured, first: TunedArm, second: TunedArm, low: float = 0.0) -> Part:
    """How many points more the first has right, over seeds and documents."""
    points = 100 * (measured.right[first.name] - measured.right[second.name])
    what = f"accuracy, {first.name} - {second.name}"
    return Part(what, paired_over_documents(points), POINTS, low)


def _downstream(first: TunedArm, second: TunedArm, low: float = 0.0) -> Callable[..., Evidence]:
    """Evidence from one difference of accuracies, of arms that each have their best rates."""
    starts = [arm.start for arm in (first, second) if arm.start is not None]

    def evidence(measured: Measured) -> Evidence:
        if missing := measured.unbracketed(starts, [first.name, second.name]):
            return Evidence(missing=missing)
        accuracies = [float(measured.right[arm.name].mean()) for arm in (first, second)]
        if max(accuracies) <= measured.baseline:
            return Evidence(missing="neither is better than always the same answer")
        return Evidence([_gain(measured, first, second, low)])

    return evidence


def equal_flops(measured: Measured) -> Evidence:
    """C5: judged by the held-out loss, which tells more than a few hundred answers."""
    tuned = (scales.TUNED_SMALL, scales.TUNED_SHORT)
    names = [arm.name for arm in (DENSE, SPARSE, SMALL, SHORT)]
    if missing := measured.unbracketed(names):
        return Evidence(missing=missing)
    parts = [
        Part(
            f"loss, {control.name} - {SPARSE.name}",
            paired(_differences(measured, control, SPARSE)),
            BITS,
            0.0,
        )
        for control in (SMALL, SHORT)
    ]
    worth, note = worth_of_a_weight(measured)
    beside = [_gain(measured, scales.TUNED_SPARSE, control) for control in tuned]
    beside += [
        Part(f"loss, {arm.name} - {SPARSE.name}", paired(_differences(measured, arm, SPARSE)), BITS)
        for arm in map(scales.dynamic, DYNAMIC_METHODS)
        if arm.name in measured.bits
    ]
    return Evidence(parts, [*beside, *worth], notes=[note])


def _differences(measured: Measured, first: Arm, second: Arm) -> list[float]:
    pairs = zip(measured.bits[first.name], measured.bits[second.name], strict=True)
    return [one - other for one, other in pairs]


def worth_of_a_weight(measured: Measured) -> tuple[list[Part], str]:
    """How many weights of a dense model one non-zero weight of the sparse one is worth, m.

    The dense model of the sparse one's loss lies on the line through the two dense models that were
    trained on as many tokens, of loss over the logarithm of the number of weights. Two sizes make
    no scaling law: m is as good as that line is straight, and extrapolated where the sparse loss
    lies outside of it. Weights are those of the projections.
    """
    weights = {arm: measured.sizes[arm.name]["weights"] for arm in (DENSE, SPARSE, SMALL)}
    needed = weights[SMALL] / weights[SPARSE]
    span = math.log2(weights[DENSE] / weights[SMALL])
    logs, gains = [], _differences(measured, SMALL, DENSE)
    for gain, sparse_gain in zip(gains, _differences(measured, SMALL, SPARSE), strict=True):
        if gain <= 0:
            break
        logs.append(math.log2(needed) + sparse_gain / gain * span)
    if len(logs) < len(gains):
        reason = "the larger dense model is not better than the smaller one for each seed"
        return [], f"m is not estimated: {reason}. Sparse wins if it is above m* = {needed:.2f}."
    part = Part("dense weights that a non-zero one is worth, m", paired(logs), RATIO)
    inside = all(0 <= log - math.log2(needed) <= span for log in logs)
    how = "between" if inside else "beyond"
    return [part], (
        f"Sparse wins at equal training FLOPs if m is above m* = {needed:.2f}; m is read off a "
        f"line through two dense models, {how} them."
    )


def gap_grows(measured: Measured) -> Evidence:
    """Claim C7: the sparser the model, the more its loss exceeds the dense one's."""
    arms = [DENSE, *(scales.corrected(sparsity) for sparsity in measured.sparsities)]
    if missing := measured.unbracketed([arm.name for arm in arms]):
        return Evidence(missing=missing)
    levels = [arm.sparsity for arm in arms]
    by_seed = zip(*(measured.bits[arm.name] for arm in arms), strict=True)
    slopes = [slope(levels, losses) for losses in by_seed]
    beside = [
        Part(f"loss, {arm.name} - dense", paired(_differences(measured, arm, DENSE)), BITS)
        for arm in arms[1:]
    ]
    return Evidence(
        [Part("slope of the loss over sparsity, 0 to 1", paired(slopes), BITS, 0.0)], beside
    )


CLAIMS = (
    Claim(
        name="C1",
        text="With standard parameterization the best learning rate rises with sparsity.",
        refuted_if="the shift at the highest sparsity is below 0.5 octave",
        evidence=rate_rises,
    ),
    Claim(
        name="C2",
        text="With SuPar's corrections the best rate stays.",
        refuted_if="a shift is above 0.5 octave, up or down",
        evidence=rate_stays,
    ),
    Claim(
        name="C3",
        text="With standard parameterization activations vanish with sparsity; corrected they do "
        "not.",
        refuted_if="75 % sparse / dense is above 0.5 with standard parameterization, or outside "
        "0.7 to 1.4 corrected",
        evidence=activations,
    ),
    Claim(
        name="C4",
        text="Sparse pre-training and dense fine-tuning are not worse downstream than dense.",
        refuted_if="sparse - dense is below -2 points",
        evidence=_downstream(scales.TUNED_SPARSE, scales.TUNED_DENSE, -2.0),
    ),
    Claim(
        name="C5",
        text="At equal training FLOPs the sparse model beats the dense one that is smaller, and "
        "the one that is trained for fewer steps.",
        refuted_if="one of the two has the lower held-out loss",
        evidence=equal_flops,
    ),
    Claim(
        name="C6",
        text="Dense fine-tuning beats fine-tuning with the masks kept.",
        refuted_if="the difference is below 0",
        evidence=_downstream(scales.TUNED_SPARSE, scales.TUNED_MASKED),
    ),
    Claim(
        name="C7",
        text="The gap after pre-training grows with sparsity.",
        refuted_if="the slope over the sparsities is below 0",
        evidence=gap_grows,
    ),
    Claim(
        name="C8",
        text="Pre-training helps at all.",
        refuted_if="dense pre-training - random weights is below 0",
        evidence=_downstream(scales.TUNED_DENSE, scales.TUNED_SCRATCH),
    ),
    Claim(
        name="C9",
        text="A soft prompt helps.",
        refuted_if="with - without is below 0",
        evidence=_downstream(scales.TUNED_PROMPT, scales.TUNED_SPARSE),
    ),
)
