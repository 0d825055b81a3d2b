"""Masks that change while the model trains: ModelZoo's Trainer beside this package's loop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.params.schema import Params
from mediswift_cs.training import mdl_state
from mediswift_cs.training.hosts.cerebras.session import Session
from mediswift_cs.training.loop import Trainer

from .conftest import drive, largest_difference

pytestmark = [pytest.mark.modelzoo, pytest.mark.timeout(3600)]

Raw = dict[str, Any]
FIRST, LAST = 15, 30
MOVING = {
    "sparsity": 0.75,
    "drop_fraction": {"type": "cosine", "init": 0.3, "half_period": 24},
    "update": {"freq": 4, "stop": 24},
}
METHODS: dict[str, Raw] = {
    "set": {"algorithm": "set", **MOVING},
    "rigl": {"algorithm": "rigl", **MOVING},
    "gmp": {
        "algorithm": "gmp",
        "sparsity": {"type": "cycling", "values": [0.0, 0.3, 0.5, 0.6, 0.7, 0.75]},
        "update": {"freq": 4, "stop": 21},
    },
}
# What cerebras-pytorch 2.10 does right without our mends.
SOUND = {"gmp": METHODS["gmp"], "constant": METHODS["rigl"] | {"drop_fraction": 0.3}}
CASES = METHODS | SOUND


def params(raw: Raw, model_dir: Path, method: str) -> Raw:
    init = raw["trainer"]["init"]
    init["model_dir"] = str(model_dir)
    init["sparsity"] = {**CASES[method], "param_filter": init["sparsity"]["param_filter"]}
    init["loop"] = {"max_steps": LAST, "eval_frequency": LAST}
    init["checkpoint"]["steps"] = FIRST
    init["logging"]["log_steps"] = 1
    ((_, sequence),) = init["schedulers"][0].items()
    sequence["schedulers"][1]["CosineDecayLR"]["total_iters"] = LAST - 3
    return raw


def state(folder: Path, step: int) -> Raw:
    (path,) = folder.rglob(f"checkpoint_{step}.mdl")
    return mdl_state.read(path)


@pytest.fixture(scope="module")
def root(modelzoo: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dynamic")


def run_own(raw: Raw, model_dir: Path, begin: Path | None = None) -> list[float]:
    """The losses of the host cerebras, one a step, in this process."""
    model_dir.mkdir()
    checked = Params(**raw)
    trainer = Trainer(checked, model_dir, raw, Session(checked, for_training=True))
    if begin is not None:
        trainer.load(begin)
    trainer.fit([])
    lines = (model_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def losses(cpu_backend: Any, make_toy_raw: Callable[[], Raw], root: Path) -> dict[str, list[float]]:
    """By ``host method``; the runs ``on`` go on from the other's checkpoint."""
    found = {}
    for method in CASES:
        raw = params(make_toy_raw(), root, method)
        found[f"own {method}"] = run_own(raw, root / f"own_{method}")
    jobs = {}
    for method in METHODS:
        for name in (method, f"{method} on"):
            folder = root / f"modelzoo_{name.replace(' ', '_')}"
            jobs[f"modelzoo {name}"] = params(make_toy_raw(), folder, method)
        # The last one goes on.
        begin = root / f"own_{method}/checkpoint_{FIRST}.mdl"
        jobs[f"modelzoo {method} on"]["trainer"]["fit"]["ckpt_path"] = str(begin)
    unmended = {
        f"unmended {method}": params(make_toy_raw(), root / f"unmended_{method}", method)
        for method in (*SOUND, "rigl")
    }
    asked = [{"fit": raw} for raw in jobs.values()]
    asked += [{"fit_unmended": raw} for raw in unmended.values()]
    driven = drive(asked, root, timeout=1500)
    found |= dict(zip([*jobs, *unmended], driven, strict=True))
    for method in METHODS:
        (begin,) = (root / f"modelzoo_{method}").rglob(f"checkpoint_{FIRST}.mdl")
        raw, folder = params(make_toy_raw(), root, method), root / f"own_{method}_on"
        found[f"own {method} on"] = run_own(raw, folder, begin)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_equal_losses_step_for_step(losses: dict[str, list[float]], method: str) -> None:
    ours, theirs = losses[f"own {method}"], losses[f"modelzoo {method}"]
    assert len(ours) == LAST
    assert largest_difference(ours, theirs) < 1e-6
    # Control: another method's masks give other losses.
    other = losses["modelzoo set" if method == "rigl" else "modelzoo rigl"]
    assert largest_difference(ours, other) > 1e-3


@pytest.mark.parametrize("method", SOUND)
def test_equal_losses_beside_modelzoo_as_it_comes(
    losses: dict[str, list[float]], method: str
) -> None:
    assert largest_difference(losses[f"own {method}"], losses[f"unmended {method}"]) < 1e-6


def test_modelzoo_as_it_comes_keeps_the_first_drop_fraction(losses: dict[str, list[float]]) -> None:
    ours, theirs = losses["own rigl"], losses["unmended rigl"]
    # The first update is after the fourth step.
    assert largest_difference(ours[:4], theirs[:4]) < 1e-6
    assert largest_difference(ours, theirs) > 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [FIRST, LAST])
@pytest.mark.usefixtures("losses")
def test_equal_weights_and_masks(root: Path, method: str, step: int) -> None:
    ours, theirs = (state(root / f"{who}_{method}", step)["model"] for who in ("own", "modelzoo"))
    assert ours.keys() == theirs.keys()
    masks = [name for name in ours if name.endswith("_mask")]
    assert len(masks) == 12
    for name, value in ours.items():
        if name in masks:
            assert torch.equal(value, theirs[name]), name
        else:
            assert (value.float() - theirs[name].float()).abs().max() < 1e-6, name
    # Control: the masks of the other half of the run are others.
    later = state(root / f"own_{method}", FIRST + LAST - step)["model"]
    assert any(not torch.equal(ours[name], later[name]) for name in masks)


@pytest.mark.parametrize("method", ["rigl", "gmp"])
@pytest.mark.parametrize("who", ["modelzoo", "own"])
def test_checkpoints_of_either_go_on_in_the_other(
    losses: dict[str, list[float]], method: str, who: str
) -> None:
    found = losses[f"{who} {method} on"]
    assert largest_difference(found, losses[f"modelzoo {method}"][FIRST:]) < 1e-6


@pytest.mark.parametrize("who", ["modelzoo", "own"])
def test_set_goes_on_with_other_random_places(losses: dict[str, list[float]], who: str) -> None:
    """ModelZoo neither saves nor reads the state of the generator that SET draws from."""
    found, whole = losses[f"{who} set on"], losses["modelzoo set"][FIRST:]
    # The first update after the checkpoint is at step 16.
    assert found[0] == pytest.approx(whole[0], abs=1e-6)
    assert largest_difference(found, whole) > 1e-6
