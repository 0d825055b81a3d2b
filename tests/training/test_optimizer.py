"""The optimizer's parameter groups, and schedules, on the host cerebras."""

from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch
from torch import nn

from mediswift_cs.errors import ConfigError
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.optimizer import AdamWParams
from mediswift_cs.params.schema import OptimizerParams, Params
from mediswift_cs.training.hosts.cerebras.optimizer import (
    configure_optimizer,
    configure_scheduler,
)
from mediswift_cs.training.parameter_groups import parameter_groups


@pytest.fixture
def model(cpu_backend: Any) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.LayerNorm(24), nn.Linear(24, 4))


def test_biases_and_norms_do_not_decay(toy_raw: dict[str, Any], cpu_backend: Any) -> None:
    config = Params(**toy_raw).trainer.init.model
    model = MediSwiftModel(config)
    decayed, not_decayed = parameter_groups(model, AdamWParams(weight_decay=0.1))
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert not_decayed["weight_decay"] == 0.0
    assert all("norm" not in names[id(p)] for p in decayed["params"])
    assert all(p.dim() == 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in not_decayed["params"])
    assert len(decayed["params"]) + len(not_decayed["params"]) == len(names)


ATTENTION = [f"self_attn.proj_{name}_dense_layer" for name in ("q", "k", "v", "output")]


def in_layers(names: list[str]) -> set[str]:
    """The weights of these names in both layers of the toy model."""
    layers = [f"model.transformer_decoder.layers.{number}" for number in range(2)]
    return {f"{layer}.{name}.weight" for layer in layers for name in names}


EMBEDDINGS = {
    "model.embedding_layer.word_embeddings.weight",
    "model.embedding_layer.position_embeddings.embed.weight",
}
EXPAND = in_layers(["ffn.ffn.0.linear_layer"])
CONTRACT = in_layers(["ffn.ffn.1.linear_layer"])
HEAD = {"model.lm_head.weight"}


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        # Equal factors share a group.
        (
            {
                "embedding": 0.5,
                "decoder_attention": 2.0,
                "decoder_input_ffn": 3.0,
                "decoder_output_ffn": 0.5,
            },
            [(0.5, EMBEDDINGS | CONTRACT), (2.0, in_layers(ATTENTION)), (3.0, EXPAND), (1.0, HEAD)],
        ),
        # The first factor counts, and no group is empty.
        (
            {"decoder_kernel": 4.0, "decoder_attention": 2.0},
            [(4.0, in_layers(ATTENTION) | EXPAND | CONTRACT), (1.0, EMBEDDINGS | HEAD)],
        ),
    ],
)
def test_each_factor_of_the_rate_has_a_group_of_its_own(
    toy_raw: dict[str, Any], factors: dict[str, float], expected: list[tuple[float, set[str]]]
) -> None:
    config = Params(**toy_raw).trainer.init.model
    model = MediSwiftModel(config.model_copy(update={"share_embedding_weights": False}))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(
        model,
        AdamWParams.model_validate({"weight_decay": 0.1, "adjust_learning_rate": factors}),
    )
    *decayed, spared = (
        (g["weight_decay"], g["adjust_learning_rate"], {names[id(p)] for p in g["params"]})
        for g in groups
    )
    assert decayed == [(0.1, *group) for group in expected]
    assert spared[:2] == (0.0, 1.0)
    assert spared[2] == {name for name in names.values() if "norm" in name or "bias" in name}


def test_a_frozen_parameter_is_in_no_group_and_a_group_may_be_empty() -> None:
    norm = nn.LayerNorm(3)
    decayed, spared = parameter_groups(norm, AdamWParams())
    assert decayed["params"] == []
    assert "adjust_learning_rate" not in decayed
    assert spared["params"] == [norm.weight, norm.bias]
    norm.bias.requires_grad_(False)
    assert parameter_groups(norm, AdamWParams())[1]["params"] == [norm.weight]


def rates(model: nn.Module, entry: dict[str, Any], num_steps: int) -> list[float]:
    """The learning rates of the first steps under a schedule."""
    optimizer = cstorch.optim.AdamW(parameter_groups(model, AdamWParams(weight_decay=0.1)), lr=0.1)
    scheduler = configure_scheduler(optimizer, entry)
    found = []
    for _ in range(num_steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def linear(start: float, end: float, num_steps: int) -> dict[str, Any]:
    return {
        "LinearLR": {
            "initial_learning_rate": start,
            "end_learning_rate": end,
            "total_iters": num_steps,
        }
    }


def test_each_schedule_of_a_sequence_runs_for_its_own_length(model: nn.Module) -> None:
    parts = [linear(0.0, 1.0, 2), linear(1.0, 0.5, 4), linear(0.5, 0.5, 1)]
    expected = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5]
    assert rates(model, {"SequentialLR": {"schedulers": parts}}, 7) == pytest.approx(expected)
    entry = {"SequentialLR": {"schedulers": parts, "milestones": [1, 5]}}
    assert rates(model, entry, 3) == pytest.approx([0.0, 1.0, 0.875]), "given ones are kept"
    with pytest.raises(ConfigError, match=r"trainer\.init\.schedulers: got NoLR, allowed: a class"):
        rates(model, {"NoLR": {}}, 1)


def test_the_params_set_the_optimizer_up(model: nn.Module) -> None:
    params = OptimizerParams(AdamW={"learning_rate": 0.25, "weight_decay": 0.5})  # type: ignore[arg-type]
    optimizer = configure_optimizer(model, params)
    assert type(optimizer) is cstorch.optim.AdamW
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    assert all(group["lr"] == 0.25 for group in optimizer.param_groups)


def test_schedules_set_the_rate_where_the_params_have_none(model: nn.Module) -> None:
    optimizer = configure_optimizer(model, OptimizerParams(AdamW={}))  # type: ignore[arg-type]
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]


@pytest.mark.parametrize(("factor", "rates"), [(0.5, [0.125, 0.25]), (None, [0.25])])
def test_a_schedule_is_multiplied_with_the_factors_of_the_groups(
    factor: float | None, rates: list[float], cpu_backend: Any
) -> None:
    layers = {name: nn.Linear(3, 3, bias=False) for name in ("embedding", "last")}
    factors = {} if factor is None else {"adjust_learning_rate": {"embedding": factor}}
    optimizer = configure_optimizer(
        nn.ModuleDict(layers),
        OptimizerParams(AdamW=factors),  # type: ignore[arg-type]
    )
    scheduler = configure_scheduler(optimizer, {"ConstantLR": {"learning_rate": 0.25}})
    assert isinstance(scheduler, cstorch.optim.lr_scheduler.ScalePerParamLR) == bool(factors)
    found = [float(group["lr"]) for group in optimizer.param_groups if group["params"]]
    assert found == rates
