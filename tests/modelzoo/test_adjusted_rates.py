"""Learning rates of their own for groups of weights, beside ModelZoo's Trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import drive, largest_difference, run_own

pytestmark = pytest.mark.modelzoo

Raw = dict[str, Any]
FIRST, LAST = 15, 30
CASES: dict[str, dict[str, float]] = {
    "plain": {},
    "supar": {"decoder_kernel": 4.0},
    "parts": {"embedding": 0.5, "decoder_attention": 2.0, "decoder_output_ffn": 3.0},
    "alike": {"decoder_input_ffn": 2.0, "decoder_attention": 2.0, "embedding": 1.0},
}


def params(raw: Raw, model_dir: Path, adjusted: dict[str, float]) -> Raw:
    init = raw["trainer"]["init"]
    init["model_dir"] = str(model_dir)
    init["optimizer"]["AdamW"]["adjust_learning_rate"] = adjusted
    init["loop"] = {"max_steps": LAST, "eval_frequency": LAST}
    init["checkpoint"]["steps"] = FIRST
    init["logging"]["log_steps"] = 1
    ((_, sequence),) = init["schedulers"][0].items()
    sequence["schedulers"][1]["CosineDecayLR"]["total_iters"] = LAST - 3
    return raw


@pytest.fixture(scope="module")
def losses(
    modelzoo: None,
    make_toy_raw: Callable[[], Raw],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[float]]:
    """By ``host name``; ``on`` are runs that go on from the other's checkpoint."""
    root = tmp_path_factory.mktemp("rates")

    def of(name: str, folder: str, case: str = "") -> Raw:
        return params(make_toy_raw(), root / folder, CASES[case or name])

    found = {f"own {name}": run_own(of(name, ""), root / f"own_{name}") for name in CASES}
    cerebras = run_own(of("supar", ""), root / "cerebras", engine="cerebras")
    jobs = {f"modelzoo {name}": of(name, f"modelzoo_{name}") for name in CASES}
    jobs["modelzoo on"] = of("supar", "modelzoo_on")
    jobs["modelzoo on"]["trainer"]["fit"]["ckpt_path"] = str(
        root / f"own_supar/checkpoint_{FIRST}.mdl"
    )
    driven = drive([{"fit": raw} for raw in jobs.values()], root, timeout=900)
    found |= dict(zip(jobs, driven, strict=True)) | {"cerebras supar": cerebras}
    theirs = root / f"modelzoo_supar/checkpoint_{FIRST}.mdl"
    for engine in ("torch", "cerebras"):
        found[f"{engine} on"] = run_own(
            of("supar", ""), root / f"{engine}_on", "--checkpoint_path", str(theirs), engine=engine
        )
    return found


@pytest.mark.parametrize("name", CASES)
def test_equal_losses_step_for_step(losses: dict[str, list[float]], name: str) -> None:
    ours, theirs = losses[f"own {name}"], losses[f"modelzoo {name}"]
    assert len(ours) == LAST
    assert largest_difference(ours, theirs) < 1e-6
    other = losses["modelzoo supar" if name == "plain" else "modelzoo plain"]
    assert largest_difference(ours, other) > 1e-3


def test_the_host_cerebras_has_the_very_same_losses(losses: dict[str, list[float]]) -> None:
    assert losses["cerebras supar"] == losses["modelzoo supar"]


@pytest.mark.parametrize("name", ["modelzoo on", "torch on", "cerebras on"])
def test_checkpoints_of_either_go_on_in_the_other(
    losses: dict[str, list[float]], name: str
) -> None:
    assert largest_difference(losses[name], losses["modelzoo supar"][FIRST:]) < 1e-6
