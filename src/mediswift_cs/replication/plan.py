"""The runs of a replication, their FLOPs and hours, before the first one starts."""

from collections.abc import Iterator

from mediswift_cs.replication.experiment import Experiment

# Operations a second of one thread that the plan's hours are of. A run of the micro model makes
# 66e9, its evaluations not counted, where two run on the two idle cores of a Xeon. While it runs,
# what is left is told as measured.
ASSUMED_FLOPS_PER_SECOND = 6e10


def planned_jobs(experiment: Experiment) -> Iterator[tuple[str, list[float]]]:
    """Name of each block and CPU FLOPs of its jobs, as far as no sweep has to widen."""
    scale, seeds, sweep_seed = experiment.scale, experiment.seeds, experiment.sweep_seed
    arms, tuned = scale.arms, scale.tuned
    starts = dict.fromkeys((arm.name for arm in arms), 1.0)
    swept = [arm for arm in arms if arm.rate_of is None]
    blocks = {
        "pre-training, sweeps": [
            experiment.pretraining(arm, rate, sweep_seed) for arm in swept for rate in scale.rates
        ],
        "pre-training at the best rates": [
            experiment.pretraining(arm, 1.0, seed) for arm in arms for seed in seeds
        ],
        "fine-tuning, sweeps": [
            experiment.tuning(each, rate, sweep_seed, starts)
            for each in tuned
            for rate in scale.tuning_rates
        ],
        "fine-tuning at the best rates": [
            experiment.tuning(each, 1.0, seed, starts) for each in tuned for seed in seeds
        ],
    }
    for name, jobs in blocks.items():
        yield name, [job.flops for job in jobs]


def plan(experiment: Experiment, num_jobs: int) -> str:
    """The runs, their FLOPs and the hours that they take, as a table."""
    blocks = [*planned_jobs(experiment)]
    blocks.append(("in all", [flops for _, each in blocks for flops in each]))
    lines = [
        f"scale {experiment.scale.name}, seeds {experiment.sweep_seed} (sweeps) and "
        f"{', '.join(map(str, experiment.seeds))}, {num_jobs} runs at a time with one thread each",
        f"{'block':32}{'runs':>6}{'FLOPs on this CPU':>20}{'hours':>8}",
    ]
    for name, flops in blocks:
        hours = sum(flops) / ASSUMED_FLOPS_PER_SECOND / num_jobs / 3600
        lines.append(f"{name:32}{len(flops):>6}{sum(flops):>20.2e}{hours:>8.2f}")
    lines += ["", f"{'arm':36}{'weights':>12}{'steps':>8}{'training FLOPs':>18}"]
    lines += [
        f"{name:36}{facts['weights']:>12,}{facts['steps']:>8}{facts['flops']:>18.4e}"
        for name, facts in experiment.sizes().items()
    ]
    return "\n".join(
        [
            *lines,
            "Training FLOPs leave pruned weights out; a CPU computes them as well. Hours: at "
            f"{ASSUMED_FLOPS_PER_SECOND / 1e9:.0f} GFLOP/s a thread; a sweep that has to widen "
            "takes more runs.",
        ]
    )
