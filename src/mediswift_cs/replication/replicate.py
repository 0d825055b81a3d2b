"""``mediswift replicate``: every run that is missing, then the verdicts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs import __version__
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.params.run_options import Engine
from mediswift_cs.replication import scales
from mediswift_cs.replication.data import make_data
from mediswift_cs.replication.experiment import CHOSEN, REPORTED, Experiment
from mediswift_cs.replication.jobs import Job, Runner, outcome
from mediswift_cs.replication.measured import Measured, Sweep
from mediswift_cs.replication.page import write_page
from mediswift_cs.replication.plan import plan, planned_jobs
from mediswift_cs.replication.record import claims_content, told
from mediswift_cs.replication.scales import SCALES, Arm
from mediswift_cs.storage.checksums import sha256_of
from mediswift_cs.storage.lock import only_process
from mediswift_cs.storage.made import is_unbegun
from mediswift_cs.storage.read import check_keys, read_json_object
from mediswift_cs.storage.write import write_json
from mediswift_cs.sweep.vertex import NotBracketed

SETTINGS_FILE = "settings.json"
CLAIMS_FILE = "claims.json"
PAGE_FILE = "claims.html"
# A sweep whose best rate is at its end goes on, so many times.
MAX_WIDENINGS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    scale: str
    output: Path
    seed: int
    host: Engine
    num_jobs: int
    source: Path | None = None
    planted: float = 1.0


def experiment_of(options: Options) -> Experiment:
    """The experiment that the options ask for."""
    if options.seed < 0:
        raise ConfigError(f"--seed: got {options.seed}, allowed: 0 or more")
    if options.num_jobs < 1:
        raise ConfigError(f"--jobs: got {options.num_jobs}, allowed: 1 or more")
    return Experiment(
        scale=SCALES[options.scale],
        seed=options.seed,
        host=options.host,
        folder=options.output,
        planted=options.planted,
    )


def replicate(options: Options) -> int:
    """Do what is missing, and write claims and page; returns the exit code."""
    # Before the first run, and not after the last one.
    import matplotlib  # noqa: F401

    experiment = experiment_of(options)
    _check_source(options.source)
    print(plan(experiment, options.num_jobs), flush=True)
    _begin_folder(options)
    refusal = f"--output {options.output} is in use by another replication: wait for it"
    with only_process(options.output / "replicate.lock", refusal):
        prompts = {tuned.num_virtual_tokens for tuned in experiment.scale.tuned}
        make_data(experiment.data, experiment.scale, options.source, prompts)
        measured = Replication(experiment, options.num_jobs).measure()
        content = claims_content(experiment, measured)
        write_json(options.output / CLAIMS_FILE, content)
        write_page(options.output / PAGE_FILE, content)
    print(f"\n{told(content)}\n\n{options.output / PAGE_FILE}")
    return 0


def _check_source(source: Path | None) -> None:
    if source is not None and not source.exists():
        raise DataError(f"--input: got {source}, which is not there, allowed: PubMed XML")


def _settings(options: Options) -> dict[str, Any]:
    """What decides the numbers."""
    source = options.source
    if source is not None:
        source_name = source.name if source.is_dir() else sha256_of(source)
    return {
        "version": __version__,
        "scale": options.scale,
        "seed": options.seed,
        "host": options.host,
        "input": None if source is None else source_name,
        "planted": options.planted,
    }


def _begin_folder(options: Options) -> None:
    """Make the folder, or see that it is one of the same replication."""
    path, wanted = options.output / SETTINGS_FILE, _settings(options)
    if is_unbegun(options.output, path):
        write_json(path, wanted)
        return
    try:
        found = check_keys(read_json_object(path), wanted, str(path))
    except DataError as error:
        raise ConfigError(
            f"--output: got {options.output}, which is no replication ({SETTINGS_FILE} is not "
            "there or not readable), allowed: a new folder, or one of this command"
        ) from error
    different = [
        f"{key} {found[key]} and not {wanted[key]}" for key in wanted if found[key] != wanted[key]
    ]
    if different:
        raise ConfigError(
            f"--output: {options.output} holds a replication with {', '.join(different)}; "
            "allowed: another folder, or the same options"
        )


class Replication:
    """The runs of one experiment, in their order."""

    def __init__(self, experiment: Experiment, num_jobs: int) -> None:
        self.experiment = experiment
        total = sum(sum(flops) for _, flops in planned_jobs(experiment))
        hosts = {experiment.host_of(arm) for arm in experiment.scale.arms}
        self.runner = Runner(
            num_jobs=num_jobs,
            is_fresh="cerebras" in hosts,
            total_flops=total,
            done_flops=sum(outcome(path.parent)["flops"] for path in experiment.outcomes()),
        )

    def measure(self) -> Measured:
        """Carry out every run that is missing, and gather what came out."""
        experiment = self.experiment
        scale, seeds, sweep_seed = experiment.scale, experiment.seeds, experiment.sweep_seed
        rates = self.sweep(
            "pre-training",
            [arm for arm in scale.arms if arm.rate_of is None],
            scale.rates,
            lambda arm, rate: experiment.pretraining(arm, rate, sweep_seed),
            lambda arm, rate: experiment.bits_per_byte(arm, rate, sweep_seed, CHOSEN),
        )
        best = {name: sweep.rate for name, sweep in rates.items()}
        at = {arm.name: experiment.rate_of(arm, best) for arm in scale.arms}
        checked = [scales.DENSE, scales.standard(scales.MAIN_SPARSITY), scales.SPARSE]
        self.runner.run(
            [experiment.pretraining(arm, at[arm.name], s) for arm in scale.arms for s in seeds]
            + [experiment.coordinates(arm, seed) for arm in checked for seed in seeds]
        )
        tuning_rates = self.sweep(
            "fine-tuning",
            scale.tuned,
            scale.tuning_rates,
            lambda tuned, rate: experiment.tuning(tuned, rate, sweep_seed, at),
            lambda tuned, rate: experiment.answer_loss(tuned, rate, sweep_seed),
        )
        tuned_at = {name: sweep.rate for name, sweep in tuning_rates.items()}
        self.runner.run(
            [experiment.tuning(t, tuned_at[t.name], s, at) for t in scale.tuned for s in seeds]
        )
        return Measured(
            sparsities=scale.sparsities,
            rates=rates,
            tuning_rates=tuning_rates,
            bits=self._each_seed(partial(experiment.bits_per_byte, half=REPORTED), at),
            clipped=self._each_seed(experiment.clipped_fraction, at),
            outputs={
                arm.name: [experiment.block_outputs(arm, s) for s in seeds] for arm in checked
            },
            right={
                t.name: np.stack([experiment.right_answers(t, tuned_at[t.name], s) for s in seeds])
                for t in scale.tuned
            },
            baseline=experiment.baseline(scales.TUNED_DENSE, tuned_at, seeds[0]),
            sizes=experiment.sizes(),
        )

    def _each_seed(
        self, value: Callable[[Arm, float, int], float], at: Mapping[str, float]
    ) -> dict[str, list[float]]:
        """A number of each arm's runs at its best rate."""
        experiment = self.experiment
        return {
            arm.name: [value(arm, at[arm.name], seed) for seed in experiment.seeds]
            for arm in experiment.scale.arms
        }

    def sweep(
        self,
        what: str,
        arms: Sequence[Any],
        rates: Sequence[float],
        job: Callable[[Any, float], Job],
        loss: Callable[[Any, float], float],
    ) -> dict[str, Sweep]:
        """Each arm's losses over the rates, and over more where the best is not between them."""
        tried: dict[str, list[float]] = {arm.name: list(rates) for arm in arms}
        for _ in range(MAX_WIDENINGS + 1):
            self.runner.run([job(arm, rate) for arm in arms for rate in tried[arm.name]])
            sweeps = {
                arm.name: Sweep(losses={rate: loss(arm, rate) for rate in tried[arm.name]})
                for arm in arms
            }
            open_ends = {
                name: sweep.found
                for name, sweep in sweeps.items()
                if isinstance(sweep.found, NotBracketed)
            }
            for name, found in open_ends.items():
                print(f"{what}, {name}: not bracketed, {found.reason}", flush=True)
                tried[name] += found.add
                arm = next(arm for arm in arms if arm.name == name)
                self.runner.total_flops += sum(job(arm, rate).flops for rate in found.add)
            if not open_ends:
                break
        for name, sweep in sweeps.items():
            if not any(map(math.isfinite, sweep.losses.values())):
                raise DataError(f"{what}, {name}: every run diverged, at {sorted(sweep.losses)}")
        return sweeps
