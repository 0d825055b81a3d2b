"""This package's loop and ModelZoo's Trainer: the same losses, and checkpoints of either go on."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
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

    own: dict[str, list[float]] = field(default_factory=dict)
    modelzoo: dict[str, list[float]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def losses(
    modelzoo: None,
    make_toy_raw: Callable[[], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Losses:
    """All runs of this file: first ours, then ModelZoo's in one process, then the continued ones.

    They evaluate at the end, but for those named ``between``.
    """
    root = tmp_path_factory.mktemp("hosts")
    result = Losses()

    def params(sparsity: str, name: str, eval_frequency: int = 12) -> dict[str, Any]:
        raw = make_toy_raw()
        init = raw["trainer"]["init"]
        if sparsity == "dense":
            del init["sparsity"]
        init["loop"]["eval_frequency"] = eval_frequency
        init["logging"]["log_steps"] = 1
        init["model_dir"] = str(root / f"modelzoo_{name}")
        return raw

    def own(sparsity: str, name: str, *arguments: str, **settings: Any) -> None:
        raw = params(sparsity, name, settings.pop("eval_frequency", 12))
        folder = root / f"own_{name}"
        result.own[name] = run_own(raw, folder, *arguments, **settings)

    jobs: dict[str, dict[str, Any]] = {}
    for sparsity in SPARSITIES:
        own(sparsity, sparsity)
        jobs[sparsity] = params(sparsity, sparsity)
        jobs[f"continued_{sparsity}"] = params(sparsity, f"continued_{sparsity}")
        jobs[f"continued_{sparsity}"]["trainer"]["fit"]["ckpt_path"] = str(
            root / f"own_{sparsity}/checkpoint_{FIRST}.mdl"
        )
    jobs["other_seed"] = params("sparse", "other_seed")
    jobs["other_seed"]["trainer"]["init"]["seed"] = 2
    jobs["between"] = params("sparse", "between", eval_frequency=FIRST)
    jobs["between_stock_data"] = params("sparse", "between_stock_data", eval_frequency=FIRST)
    trainer = jobs["between_stock_data"]["trainer"]
    del trainer["validate"], trainer["validate_all"]
    for loader in ("train_dataloader", "val_dataloader"):
        trainer["fit"][loader]["data_processor"] = "GptHDF5MapDataProcessor"
    finetuning = finetuning_params(params("dense", "finetuning"), root)
    jobs["finetuning"] = copy.deepcopy(finetuning)
    sparse_end = root / "own_sparse/checkpoint_12.mdl"
    jobs["finetuning"]["trainer"]["fit"]["ckpt_path"] = str(sparse_end)
    values = drive([{"fit": raw} for raw in jobs.values()], root)
    result.modelzoo = dict(zip(jobs, values, strict=True))

    for sparsity in SPARSITIES:
        checkpoint = root / f"modelzoo_{sparsity}/checkpoint_{FIRST}.mdl"
        own(sparsity, f"continued_{sparsity}", "--checkpoint_path", str(checkpoint))
    own("sparse", "between", eval_frequency=FIRST)
    own("sparse", "cerebras", engine="cerebras")
    result.own["finetuning"] = run_own(
        finetuning, root / "own_finetuning", "--checkpoint_path", str(sparse_end)
    )
    return result


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
