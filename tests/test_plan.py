"""What a budget pays for: m*, time and bytes, against definitions and real files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.checkpoints.summary import summarize
from mediswift_cs.cli import main
from mediswift_cs.flops import Flops, multiplier_to_beat, shape_of_size
from mediswift_cs.machines import CS2, GPU_PEAKS, GPUS
from mediswift_cs.params.budget import Budget, plan_rows, sources
from mediswift_cs.params.schema import Params
from mediswift_cs.sizes import SIZES, ModelSize
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.loop import Trainer

H100 = GPUS["H100"]


def multiplier(name: str, sparsity: float) -> float:
    size = SIZES[name]
    return multiplier_to_beat(
        shape_of_size(size).training_flops(), shape_of_size(size, sparsity).training_flops()
    )


@pytest.mark.parametrize(
    ("sparsity", "expected", "digits"),
    [
        (0.5, (1.22, 1.22, 1.17, 1.13), 2),
        (0.75, (1.70, 1.70, 1.56, 1.41), 2),
        (0.9, (3.2, 3.2, 2.8, 2.3), 1),
        (0.0, (1.0, 1.0, 1.0, 1.0), 9),
    ],
)
def test_the_multiplier_that_sparsity_must_beat(
    sparsity: float, expected: tuple[float, ...], digits: int
) -> None:
    found = [multiplier(name, sparsity) for name in ("tiny", "med", "large", "xl")]
    assert tuple(round(value, digits) for value in found) == expected


@pytest.mark.parametrize("name", ["med", "large", "xl"])
@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_it_is_that_of_a_dense_model_of_less_width(name: str, sparsity: float) -> None:
    size = SIZES[name]
    kept = shape_of_size(size, sparsity)
    num_kept = kept.num_projection_weights + kept.num_feed_forward_weights
    # 12 layers * width**2 weights that are m* times the kept ones.
    number = multiplier(name, sparsity) * num_kept
    width = round((number / (12 * size.num_hidden_layers)) ** 0.5)
    smaller = replace(size, hidden_size=width, filter_size=4 * width, num_heads=1)
    cost = kept.training_flops().total
    assert shape_of_size(smaller).training_flops().total == pytest.approx(cost, rel=2e-3)
    # Of less depth it would be another number.
    fewer = cost * size.num_hidden_layers / shape_of_size(size).training_flops().total
    assert 12 * fewer * size.hidden_size**2 / num_kept != pytest.approx(number / num_kept, rel=1e-2)


def test_without_scores_and_head_each_weight_is_worth_one() -> None:
    dense = Flops(projections=400, attention_scores=0, feed_forward=800, head=0)
    sparse = replace(dense, projections=100, feed_forward=200)
    assert multiplier_to_beat(dense, sparse) == pytest.approx(1.0)
    assert multiplier_to_beat(replace(dense, head=50), replace(sparse, head=50)) > 1.01


def test_a_gpu_saves_nothing_and_a_cs_system_what_is_masked() -> None:
    dense, sparse = plan_rows(["xl"], [0.0, 0.75], Budget(), CS2, H100)
    assert dense.tokens == sparse.tokens == SIZES["xl"].num_tokens
    assert sparse.gpu_hours == dense.gpu_hours
    assert sparse.training_flops_on_gpu == dense.training_flops
    assert dense.cs_days / sparse.cs_days == pytest.approx(2.49, abs=0.005)
    assert sparse.cs_days == pytest.approx(sparse.training_flops / (7.5e15 * 0.25) / 86400)
    assert sparse.cs_days_at_peak == pytest.approx(sparse.cs_days / 4)
    assert dense.gpu_hours == pytest.approx(dense.training_flops / (989e12 * 0.4182) / 3600)


@pytest.mark.parametrize("sparsity", [0.0, 0.75])
def test_a_budget_pays_for_what_it_costs(sparsity: float) -> None:
    tokens = 2048 * 1_000_000
    (row,) = plan_rows(["med"], [sparsity], Budget(tokens=tokens), CS2, H100)
    for budget in (
        Budget(flops=row.training_flops),
        Budget(cs_days=row.cs_days),
        Budget(gpu_hours=row.gpu_hours),
    ):
        (found,) = plan_rows(["med"], [sparsity], budget, CS2, H100)
        assert found.tokens == pytest.approx(tokens, abs=2048)
    (half,) = plan_rows(["med"], [sparsity], Budget(cs_days=row.cs_days / 2), CS2, H100)
    assert half.tokens == pytest.approx(tokens / 2, abs=2048)


@pytest.mark.parametrize("sparsity", [0.0, 0.75])
def test_bytes_are_those_of_a_real_checkpoint(
    make_toy_raw: Callable[[], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sparsity: float,
) -> None:
    raw = make_toy_raw()
    if not sparsity:
        del raw["trainer"]["init"]["sparsity"]
    params = Params(**raw)
    host = TorchSession(params, "CPU", for_training=True)
    Trainer(params, tmp_path, raw, host).fit([])
    found = summarize(tmp_path / "checkpoint_12.mdl", exact=False)
    model = raw["trainer"]["init"]["model"]
    names = ("hidden_size", "num_hidden_layers", "num_heads", "filter_size", "vocab_size")
    shape = {name: model[name] for name in (*names, "max_position_embeddings")}
    toy = ModelSize(name="toy", peak_learning_rate=1.0, **shape)
    monkeypatch.setitem(SIZES, "toy", toy)
    (row,) = plan_rows(["toy"], [sparsity], Budget(), CS2, H100)
    assert row.parameters == found.num_parameters
    groups = found.group_bytes
    moments = 2 * 4 * found.num_parameters
    assert row.checkpoint_bytes == groups["model"] + groups.get("masks", 0) + moments
    # Beside the moments the optimizer has a count of steps for each tensor.
    assert 0 <= groups["optimizer"] - moments < 8 * found.num_optimizer_tensors
    in_memory = [*host.model.parameters(), *host.model.buffers()]
    own = sum(tensor.numel() * tensor.element_size() for tensor in in_memory)
    assert row.state_bytes == own + 3 * 4 * found.num_parameters
    assert (row.kept_parameters < row.parameters) == bool(sparsity)


def test_every_rate_has_a_source_and_a_mark() -> None:
    lines = sources([CS2, *GPUS.values()])
    assert len(lines) == 2 * 3
    assert all(any(f"({mark}: " in line for mark in "QCD") for line in lines)
    assert "(D: an assumption" in lines[1]
    assert all(GPUS[name].peak_flops == GPU_PEAKS[name] for name in GPUS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("small", "SIZE: got 'small', allowed: tiny, med, large, xl"),
        ("--sparsity 1", "sparsity: got 1.0, allowed: at least 0 and below 1"),
        ("--flops 1e20 --cs-days 2", "got --flops, --cs-days, allowed: one of them"),
        ("--flops 0", "--flops: got 0, allowed: a number above 0"),
        ("--gpu-hours inf", "--gpu-hours: got inf, allowed: a number above 0"),
        ("--tokens 2000", "the budget pays for no sequence of 2048 tokens of size med"),
        ("--gpu V100", "--gpu: got 'V100', allowed: H100, A100"),
        ("--cs-utilization 2", "--cs-utilization: got 2, allowed: above 0 and at most 1"),
        ("--plot plan.txt", "--plot: got plan.txt, allowed: a name that ends in .png, .svg, .pdf"),
    ],
)
def test_one_sentence_and_nothing_written(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *arguments.split(), "--json", "plan.json"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_table_json_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", str(tmp_path / "plan.json"), "--plot", str(tmp_path / "plan.png")]
    assert main(["plan", "xl", "--sparsity", "0.75", "--cs-days", "3", *files]) == 0
    text = capsys.readouterr().out
    assert "75 % costs what dense costs" in text
    assert "Nothing here was measured" in " ".join(text.split())
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["budget"] == {"cs_days": 3.0}
    (row,) = content["rows"]
    assert row["cs_days"] == pytest.approx(3.0, rel=1e-4)
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
