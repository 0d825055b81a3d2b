"""The runs of a replication: the params document of each, its folder, and what came out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mediswift_cs import run
from mediswift_cs.checkpoints.model_dir import newest_checkpoint
from mediswift_cs.demo_summary import read_scores, right_answers
from mediswift_cs.params import training_cost
from mediswift_cs.params.recipes import render_finetuning, render_pretraining
from mediswift_cs.params.run_options import Engine
from mediswift_cs.params.schema import Params
from mediswift_cs.replication.data import Data
from mediswift_cs.replication.jobs import OUTCOME_FILE, Job, last_logged, logged
from mediswift_cs.replication.recipe import set_embeddings, set_projection_rate
from mediswift_cs.replication.scales import (
    DENSE,
    SPARSE,
    Arm,
    Scale,
    TunedArm,
    num_weights,
    training_flops,
)
from mediswift_cs.replication.statistics import Floats
from mediswift_cs.report.scores import Baseline
from mediswift_cs.storage.read import check_type, read_json_object
from mediswift_cs.storage.write import write_json, write_text

# Seeds of a replication: so many are kept apart for each --seed.
SEEDS_EACH = 100
OUTPUTS_FILE = "block_outputs.json"
SCORES_FOLDER = "scores"
# Updates before activations are measured, and the constant rate of all arms for them.
COORDINATE_STEPS, COORDINATE_RATE = 5, 2.0**-6
# The set of held-out documents, by its place in the params' list.
CHOSEN, REPORTED = 0, 1


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One replication in one folder.

    Attributes:
        planted: the rate of the sparse arm is this many times its best one; other values than 1
            are an error on purpose, which the verdicts have to show.
    """

    scale: Scale
    seed: int
    host: Engine
    folder: Path
    planted: float = 1.0

    @property
    def data(self) -> Data:
        """Where the data is."""
        return Data(self.folder)

    @property
    def sweep_seed(self) -> int:
        """Of all sweeps; no result that is reported comes from it."""
        return self.seed * SEEDS_EACH

    @property
    def seeds(self) -> list[int]:
        """Of the runs at the best rates: initial weights, masks and order of the data."""
        return [self.sweep_seed + number for number in range(1, self.scale.num_seeds + 1)]

    def rate_of(self, arm: Arm, best: Mapping[str, float]) -> float:
        """The peak rate of an arm's runs, from the best rate of each arm that was swept."""
        rate = best[arm.rate_of or arm.name]
        return rate * self.planted if arm == SPARSE else rate

    # Pre-training

    def pretraining(self, arm: Arm, rate: float, seed: int) -> Job:
        """A pre-training run, scored on both held-out halves when it ends."""
        folder = self._folder("pretraining", arm.name, rate, seed)
        flops = training_flops(self.scale.size_of(arm))
        return Job(
            folder=folder,
            calls=(partial(self._train_pretraining, arm, rate, seed, folder),),
            flops=flops,
            may_diverge=seed == self.sweep_seed,
            keeps_checkpoint=seed != self.sweep_seed,
        )

    def _train_pretraining(self, arm: Arm, rate: float, seed: int, folder: Path) -> int:
        raw = self.pretraining_params(arm, rate, seed)
        return self._train(raw, folder, None, self.host_of(arm))

    def host_of(self, arm: Arm) -> Engine:
        """Who trains an arm: the host torch refuses masks that change."""
        return self.host if arm.method == "static" else "cerebras"

    def pretraining_params(self, arm: Arm, rate: float, seed: int) -> dict[str, Any]:
        """The params document of a pre-training run."""
        raw = self._pretraining_file(arm, rate, seed)
        set_projection_rate(raw["trainer"]["init"])
        fit = raw["trainer"]["fit"]
        fit["train_dataloader"]["data_dir"] = str(self.data.train)
        fit["val_dataloader"] = [
            {**fit["val_dataloader"], "data_dir": str(half)}
            for half in (self.data.chosen_on, self.data.reported_on)
        ]
        return raw

    def bits_per_byte(self, arm: Arm, rate: float, seed: int, half: int) -> float:
        """The held-out loss of a run; infinite where it diverged."""
        folder = self._folder("pretraining", arm.name, rate, seed)
        return last_logged(folder, f"val_bits_per_byte_{half}")

    def clipped_fraction(self, arm: Arm, rate: float, seed: int) -> float:
        """The fraction of a run's updates whose gradient was clipped."""
        folder = self._folder("pretraining", arm.name, rate, seed)
        # Each line is of as many updates.
        return float(np.mean(logged(folder, "clipped_fraction")))

    # Fine-tuning

    def tuning(self, tuned: TunedArm, rate: float, seed: int, starts: Mapping[str, float]) -> Job:
        """A fine-tuning run; one that is no sweep's is scored on the test split.

        Args:
            starts: the rate of each arm's pre-training runs.
        """
        is_sweep = seed == self.sweep_seed
        folder = self._folder("finetuning", tuned.name, rate, seed)
        # A sweep starts where the first of the reported runs does.
        start = self._start(tuned, starts, self.seeds[0] if is_sweep else seed)
        calls = [partial(self._train_tuning, tuned, rate, seed, folder, start)]
        if not is_sweep:
            calls.append(partial(_score, folder, self.data.labels(tuned.num_virtual_tokens)))
        task = self.scale.tuning
        tokens = task.max_steps * task.batch_size * task.max_sequence_length
        size = self.scale.size_of(self._arm(tuned))
        return Job(
            folder=folder,
            calls=tuple(calls),
            flops=training_flops(size) / size.num_tokens * tokens,
            may_diverge=is_sweep,
        )

    def _start(self, tuned: TunedArm, starts: Mapping[str, float], seed: int) -> Path | None:
        if tuned.start is None:
            return None
        return self._folder("pretraining", tuned.start, starts[tuned.start], seed)

    def _train_tuning(
        self, tuned: TunedArm, rate: float, seed: int, folder: Path, start: Path | None
    ) -> int:
        checkpoint = None if start is None else newest_checkpoint(start)
        return self._train(self.tuning_params(tuned, rate, seed), folder, checkpoint, self.host)

    def tuning_params(self, tuned: TunedArm, rate: float, seed: int) -> dict[str, Any]:
        """The params document of a fine-tuning run."""
        arm = self._arm(tuned)
        task = replace(
            self.scale.tuning,
            peak_learning_rate=rate,
            num_virtual_tokens=tuned.num_virtual_tokens,
        )
        raw = self._document(render_finetuning(self.scale.size_of(arm), task), seed)
        if tuned.keeps_masks:
            pretraining = self._pretraining_file(arm, rate, seed)["trainer"]["init"]
            init = raw["trainer"]["init"]
            init["sparsity"] = pretraining["sparsity"]
            adjusted = pretraining["optimizer"]["AdamW"].get("adjust_learning_rate")
            if adjusted is not None:
                init["optimizer"]["AdamW"]["adjust_learning_rate"] = adjusted
        labels = self.data.labels(tuned.num_virtual_tokens)
        for split in ("train", "val"):
            raw["trainer"]["fit"][f"{split}_dataloader"]["data_dir"] = str(labels / split)
        return raw

    def answer_loss(self, tuned: TunedArm, rate: float, seed: int) -> float:
        """The loss on the validation split; infinite where the run diverged."""
        return last_logged(self._folder("finetuning", tuned.name, rate, seed), "val_loss")

    def right_answers(self, tuned: TunedArm, rate: float, seed: int) -> Floats:
        """For each test document, in the order of their ids, 1 for a right answer and else 0."""
        folder = self._folder("finetuning", tuned.name, rate, seed) / SCORES_FOLDER
        right = right_answers(folder)
        return np.array([float(right[name]) for name in sorted(right)])

    def baseline(self, tuned: TunedArm, rates: Mapping[str, float], seed: int) -> float:
        """The share of right answers of the best constant one."""
        folder = self._folder("finetuning", tuned.name, rates[tuned.name], seed)
        found = read_scores(folder / SCORES_FOLDER).get("baseline")
        return check_type(Baseline, found, f"{folder / SCORES_FOLDER}: baseline").score

    # Activations

    def coordinates(self, arm: Arm, seed: int) -> Job:
        """The coordinate check of an arm."""
        folder = self._folder("activations", arm.name, COORDINATE_RATE, seed)
        one = training_flops(self.scale.size) / self.scale.size.max_steps
        return Job(
            folder=folder,
            calls=(partial(self._measure, arm, seed, folder),),
            flops=COORDINATE_STEPS * one,
        )

    def _measure(self, arm: Arm, seed: int, folder: Path) -> int:
        from mediswift_cs.data.processors import make_processor
        from mediswift_cs.training.coordinates import block_outputs

        raw = self.pretraining_params(arm, COORDINATE_RATE, seed)
        raw["trainer"]["init"]["schedulers"] = [{"ConstantLR": {"learning_rate": COORDINATE_RATE}}]
        params = Params.model_validate(raw)
        assert params.trainer.fit is not None
        loader = make_processor(params.trainer.fit.train_dataloader).create_local_dataloader()
        batches = [batch for batch, _ in zip(loader, range(COORDINATE_STEPS), strict=False)]
        write_json(folder / OUTPUTS_FILE, block_outputs(params, batches))
        return 0

    def block_outputs(self, arm: Arm, seed: int) -> dict[str, float]:
        """What :meth:`coordinates` measured."""
        folder = self._folder("activations", arm.name, COORDINATE_RATE, seed)
        path = folder / OUTPUTS_FILE
        return check_type(dict[str, float], read_json_object(path), f"{path}: activations")

    # Facts

    def outcomes(self) -> list[Path]:
        """The files that tell how long each job took."""
        return sorted(self.folder.rglob(OUTCOME_FILE))

    def sizes(self) -> dict[str, dict[str, float]]:
        """Of each arm: weights that are not pruned, steps, and training FLOPs."""
        found = {}
        for arm in self.scale.arms:
            size = self.scale.size_of(arm)
            params = Params.model_validate(self.pretraining_params(arm, 1.0, self.sweep_seed))
            found[arm.name] = {
                "sparsity": arm.sparsity,
                "weights": num_weights(size, arm.sparsity),
                "width": size.hidden_size,
                "steps": size.max_steps,
                "flops": training_cost.training_flops(params, size.num_tokens).total,
            }
        return found

    def _arm(self, tuned: TunedArm) -> Arm:
        """The arm that a fine-tuned one starts from, or has the shape of."""
        names = {arm.name: arm for arm in self.scale.arms}
        return DENSE if tuned.start is None else names[tuned.start]

    def _folder(self, kind: str, name: str, rate: float, seed: int) -> Path:
        slug = name.replace(",", "").replace("%", "").replace(" ", "_")
        return self.folder / kind / slug / f"rate_{rate:.6g}_seed_{seed}"

    def _pretraining_file(self, arm: Arm, rate: float, seed: int) -> dict[str, Any]:
        size = self.scale.size_of(arm, rate)
        text = render_pretraining(
            size, arm.sparsity, is_corrected=arm.is_corrected, method=arm.method
        )
        return self._document(text, seed)

    def _document(self, text: str, seed: int) -> dict[str, Any]:
        """A rendered params file with this seed, without data to evaluate afterwards."""
        raw: dict[str, Any] = yaml.safe_load(text)
        set_embeddings(raw["trainer"]["init"])
        raw["trainer"]["init"]["seed"] = seed
        raw["trainer"]["fit"]["train_dataloader"]["shuffle_seed"] = seed
        del raw["trainer"]["validate"], raw["trainer"]["validate_all"]
        return raw

    def _train(
        self, raw: dict[str, Any], folder: Path, checkpoint: Path | None, host: Engine
    ) -> int:
        """``mediswift run`` of a document, which is written into the folder of the run."""
        params = write_text(folder / "params.yaml", yaml.safe_dump(raw, sort_keys=False))
        options = ["CPU", "--params", str(params), "--model_dir", str(folder)]
        if checkpoint is not None:
            options += ["--checkpoint_path", str(checkpoint)]
        return run.main([*options, "--engine", host])


def _score(folder: Path, labels: Path) -> int:
    """``mediswift evaluate`` of the newest checkpoint."""
    from mediswift_cs.endings import exit_code_of
    from mediswift_cs.evaluation.evaluate_task import EvaluationOptions, evaluate

    options = EvaluationOptions(
        data=str(labels),
        checkpoint=str(newest_checkpoint(folder)),
        output=folder / SCORES_FOLDER,
    )
    return exit_code_of(lambda: evaluate(options))
