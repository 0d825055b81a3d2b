"""This package's loop and ModelZoo's Trainer: the same losses, and checkpoints of either go on."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import drive, finetuning_params, largest_difference, run_own

pytestmark = pytest.mark.modelzoo

FIRST = 6
"""The step of the checkpoint that runs continue from; they end at step 12."""

SPARSITIES = ("dense", "sparse")


@dataclass
class Losses:
    """The losses of each run, by its name."""

    own: dict[str, list[float]]
    modelzoo: dict[str, list[float]]


@dataclass(frozen=True)
class Runs:
    """Runs below one folder; they evaluate at the end, but for those named ``between``."""

    root: Path
    make_raw: Callable[[], dict[str, Any]]

    def params(self, sparsity: str, name: str) -> dict[str, Any]:
        """Of the run that has a name."""
        raw = self.make_raw()
        init = raw["trainer"]["init"]
        if sparsity == "dense":
            del init["sparsity"]
        init["loop"]["eval_frequency"] = FIRST if name.startswith("between") else 12
        init["logging"]["log_steps"] = 1
        init["model_dir"] = str(self.root / f"modelzoo_{name}")
        return raw

    def own(self, sparsity: str, name: str, *arguments: str, engine: str = "torch") -> list[float]:
        """The losses of this package."""
        folder = self.root / f"own_{name}"
        return run_own(self.params(sparsity, name), folder, *arguments, engine=engine)

    def finetuning(self) -> tuple[dict[str, Any], str]:
        """Params, and the checkpoint of ours that it starts from."""
        raw = finetuning_params(self.params("dense", "finetuning"), self.root)
        return raw, str(self.root / "own_sparse/checkpoint_12.mdl")

    def modelzoo(self, finetuning: dict[str, Any], start: str) -> dict[str, list[float]]:
        """The losses of all of ModelZoo's runs; ours have written what they continue."""
        jobs = {sparsity: self.params(sparsity, sparsity) for sparsity in SPARSITIES}
        for sparsity in SPARSITIES:
            job = jobs[f"continued_{sparsity}"] = self.params(sparsity, f"continued_{sparsity}")
            checkpoint = self.root / f"own_{sparsity}/checkpoint_{FIRST}.mdl"
            job["trainer"]["fit"]["ckpt_path"] = str(checkpoint)
        for name in ("other_seed", "between", "between_stock_data"):
            jobs[name] = self.params("sparse", name)
        jobs["other_seed"]["trainer"]["init"]["seed"] = 2
        trainer = jobs["between_stock_data"]["trainer"]
        del trainer["validate"], trainer["validate_all"]
        for loader in ("train_dataloader", "val_dataloader"):
            trainer["fit"][loader]["data_processor"] = "GptHDF5MapDataProcessor"
        jobs["finetuning"] = copy.deepcopy(finetuning)
        jobs["finetuning"]["trainer"]["fit"]["ckpt_path"] = start
        values = drive([{"fit": raw} for raw in jobs.values()], self.root)
        return dict(zip(jobs, values, strict=True))


@pytest.fixture(scope="module")
def losses(
    modelzoo: None,
    make_toy_raw: Callable[[], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Losses:
    """First our runs, then ModelZoo's in one process, then what goes on from its checkpoints."""
    runs = Runs(tmp_path_factory.mktemp("hosts"), make_toy_raw)
    own = {sparsity: runs.own(sparsity, sparsity) for sparsity in SPARSITIES}
    finetuning, start = runs.finetuning()
    theirs = runs.modelzoo(finetuning, start)
    for sparsity in SPARSITIES:
        checkpoint = str(runs.root / f"modelzoo_{sparsity}/checkpoint_{FIRST}.mdl")
        name = f"continued_{sparsity}"
        own[name] = runs.own(sparsity, name, "--checkpoint_path", checkpoint)
    own["between"] = runs.own("sparse", "between")
    own["cerebras"] = runs.own("sparse", "cerebras", engine="cerebras")
    own["finetuning"] = run_own(
        finetuning, runs.root / "own_finetuning", "--checkpoint_path", start
    )
    return Losses(own, theirs)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_equal_losses_step_for_step(losses: Losses, sparsity: str) -> None:
    ours, theirs = losses.own[sparsity], losses.modelzoo[sparsity]
    assert len(ours) == 12
    assert ours[-1] < 0.9 * ours[0]
    assert largest_difference(ours, theirs) < 1e-6
    assert largest_difference(ours, losses.modelzoo["other_seed"]) > 1e-3


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_checkpoints_of_either_go_on_in_the_other(losses: Losses, sparsity: str) -> None:
    continued_by_modelzoo = losses.modelzoo[f"continued_{sparsity}"]
    assert largest_difference(losses.own[sparsity][FIRST:], continued_by_modelzoo) < 1e-6
    continued_by_us = losses.own[f"continued_{sparsity}"]
    assert largest_difference(losses.modelzoo[sparsity][FIRST:], continued_by_us) < 1e-6
    # A run that began anew would be far away.
    assert largest_difference(losses.own[sparsity][:FIRST], continued_by_us) > 1e-3


def test_dense_finetuning_from_a_sparse_checkpoint(losses: Losses) -> None:
    ours, theirs = losses.own["finetuning"], losses.modelzoo["finetuning"]
    assert len(ours) == 12
    assert largest_difference(ours, theirs) < 1e-6


def test_the_host_cerebras_has_the_very_same_losses(losses: Losses) -> None:
    assert losses.own["cerebras"] == losses.modelzoo["sparse"]


def test_modelzoo_restarts_the_data_after_an_evaluation(losses: Losses) -> None:
    """The host's behaviour on a CPU that docs/modelzoo.md tells; ours goes on in the epoch."""
    ours, theirs = losses.own["sparse"], losses.modelzoo["between"]
    assert losses.own["between"] == ours
    assert largest_difference(ours[:FIRST], theirs[:FIRST]) < 1e-6
    assert largest_difference(ours[FIRST:], theirs[FIRST:]) > 1e-3
    assert losses.modelzoo["between_stock_data"] == theirs
