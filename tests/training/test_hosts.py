"""The hosts torch and cerebras are one: the same weights, masks, losses, schedules and files."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cerebras.pytorch as cstorch
import pytest
import torch

from mediswift_cs.params.optimizer import AdamWParams, SchedulerParams
from mediswift_cs.params.schema import Params, SparsityParams
from mediswift_cs.training import mdl_state
from mediswift_cs.training.hosts.cerebras.optimizer import configure_scheduler
from mediswift_cs.training.hosts.cerebras.session import Session
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.hosts.torch.draws import OwnGenerators
from mediswift_cs.training.hosts.torch.optimizer import AdamW
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.masks import draw_mask
from mediswift_cs.training.parameter_groups import parameter_groups
from mediswift_cs.training.schedule import learning_rate

pytestmark = pytest.mark.usefixtures("cpu_backend")

Raw = dict[str, Any]


def hosts(raw: Raw) -> tuple[Host, Host]:
    params = Params(**raw)
    cerebras = Session(params, for_training=True)
    cerebras.draw_masks()
    plain = TorchSession(params, "CPU", for_training=True)
    plain.draw_masks()
    return cerebras, plain


def losses(host: Host, raw: Raw, num_updates: int, done: int = 0) -> list[float]:
    """Of the next updates, after ``done`` others."""
    fit = Params(**raw).trainer.fit
    assert fit is not None
    loader = host.make_dataloader(fit.train_dataloader)
    streamed = done * fit.train_dataloader.batch_size * host.num_accumulated
    loader.load_state_dict({"samples_streamed": streamed})
    host.model.train()
    # What dropout draws from.
    torch.manual_seed(done)
    return [float(host.update(batches).loss) for batches in host.updates(loader, num_updates, [])]


def largest_difference(first: list[float], second: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def dense(raw: Raw) -> None:
    del raw["trainer"]["init"]["sparsity"]


def sparse(raw: Raw) -> None:
    pass


def accumulating(raw: Raw) -> None:
    raw["trainer"]["init"]["loop"]["grad_accum_steps"] = 3


def with_dropout(raw: Raw) -> None:
    raw["trainer"]["init"]["model"]["dropout_rate"] = 0.1


def clipping_values(raw: Raw) -> None:
    raw["trainer"]["init"]["precision"] = {"enabled": False, "max_gradient_value": 0.01}


def amsgrad(raw: Raw) -> None:
    raw["trainer"]["init"]["optimizer"]["AdamW"]["amsgrad"] = True


def without_correction(raw: Raw) -> None:
    raw["trainer"]["init"]["optimizer"]["AdamW"]["correct_bias"] = False


def prompted(raw: Raw) -> None:
    raw["trainer"]["init"]["model"] |= {
        "name": "mediswift_finetuning",
        "soft_prompt": {"num_virtual_tokens": 3},
        "trainable": "soft_prompt",
    }
    dense(raw)


def by_sequence(raw: Raw) -> None:
    raw["trainer"]["init"]["model"] |= {"loss_scaling": "batch_size", "loss_weight": 0.05}
    accumulating(raw)


CHANGES = [
    *(dense, sparse, accumulating, with_dropout, clipping_values),
    *(amsgrad, without_correction, prompted, by_sequence),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_losses_for_30_steps(toy_raw: Raw, change: Callable[[Raw], None]) -> None:
    change(toy_raw)
    cerebras, plain = hosts(toy_raw)
    for name, value in cerebras.model.state_dict().items():
        assert torch.equal(value, plain.model.state_dict()[name]), name
    expected = losses(cerebras, toy_raw, 30)
    assert largest_difference(expected, losses(plain, toy_raw, 30)) < 1e-6
    # Control: another seed has other weights.
    toy_raw["trainer"]["init"]["seed"] = 2
    assert largest_difference(expected, losses(hosts(toy_raw)[1], toy_raw, 30)) > 1e-3


@pytest.mark.parametrize(
    "setting", [pytest.param("compile", marks=pytest.mark.slow), "activation_checkpointing"]
)
def test_settings_of_torch_change_no_loss(toy_raw: Raw, setting: str) -> None:
    expected = losses(hosts(toy_raw)[1], toy_raw, 5)
    toy_raw["trainer"]["init"]["torch"] = {setting: True}
    plain = TorchSession(Params(**toy_raw), "CPU", for_training=True)
    plain.draw_masks()
    assert largest_difference(expected, losses(plain, toy_raw, 5)) < 1e-5
    if setting == "activation_checkpointing":
        assert plain.model.model.transformer_decoder.recompute
    else:
        assert plain._forward is not plain.model


@pytest.mark.slow
def test_the_same_losses_for_200_steps(toy_raw: Raw) -> None:
    cerebras, plain = hosts(toy_raw)
    expected, found = (losses(host, toy_raw, 200) for host in (cerebras, plain))
    assert largest_difference(expected, found) < 1e-5
    assert expected[-1] < expected[0] - 0.1


@pytest.mark.parametrize("first", ["cerebras", "torch"])
@pytest.mark.parametrize("change", [sparse, amsgrad, without_correction])
def test_a_run_of_either_goes_on_in_the_other(
    toy_raw: Raw, tmp_path: Path, first: str, change: Callable[[Raw], None]
) -> None:
    change(toy_raw)
    begun, other = hosts(toy_raw) if first == "cerebras" else reversed(hosts(toy_raw))
    losses(begun, toy_raw, 7)
    path = tmp_path / "checkpoint_7.mdl"
    begun.write(begun.state_dict(), path)
    other.load_state_dict(other.read(path), path)
    expected = losses(begun, toy_raw, 12, done=7)
    assert largest_difference(expected, losses(other, toy_raw, 12, done=7)) < 1e-6
    # Controls: without the optimizer's state, and without the position in the schedule.
    for missing in ("optimizer", "schedulers"):
        fresh = hosts(toy_raw)[1]
        state = other.read(path)
        fresh.load_state_dict({k: v for k, v in state.items() if k != missing}, path)
        assert largest_difference(expected, losses(fresh, toy_raw, 12, done=7)) > 1e-5, missing


def test_cerebras_pytorch_reads_what_is_written_and_the_other_way_round(
    toy_raw: Raw, tmp_path: Path
) -> None:
    _, plain = hosts(toy_raw)
    losses(plain, toy_raw, 2)
    other = [None, True, 3, 0.5, "text", (torch.ones(2).bfloat16(),)]
    state = plain.state_dict() | {"other": other}
    mdl_state.write(state, tmp_path / "ours.mdl")
    cstorch.save(state, str(tmp_path / "theirs.mdl"))
    assert_same(cstorch.load(str(tmp_path / "ours.mdl")), state)
    assert_same(mdl_state.read(tmp_path / "theirs.mdl"), state)
    changed = mdl_state.read(tmp_path / "ours.mdl")
    changed["model"]["model.lm_head.weight"].zero_()
    assert_same(mdl_state.read(tmp_path / "ours.mdl"), state)


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected) or isinstance(found, dict | torch.Tensor)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found.detach().clone(), expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("init_method", ["random", "topk", "from_zeros", "checkerboard"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.75, 0.9, 0.975])
def test_masks_have_the_bits_of_cerebras_pytorch(init_method: str, sparsity: float) -> None:
    module = torch.nn.Linear(48, 33, bias=False)
    with torch.no_grad():
        module.weight[::3] = 0
    params = SparsityParams.model_validate({"sparsity": sparsity, "init_method": init_method})
    algorithm = cstorch.sparse.configure(params.model_dump(exclude_none=True))
    algorithm.sparsify_parameter(module, "weight", module.weight)
    torch.manual_seed(3)
    algorithm.initialize()
    expected = module.get_buffer("weight_mask")
    torch.manual_seed(3)
    with OwnGenerators():  # type: ignore[no-untyped-call]
        found = draw_mask(module.weight, params)
    assert torch.equal(found, expected)
    if init_method == "random" and sparsity > 0:
        # Control: torch's global generator itself draws others.
        torch.manual_seed(3)
        assert not torch.equal(draw_mask(module.weight, params), expected)


def line(start: float, end: float, num_steps: int, **others: Any) -> Raw:
    return {
        "initial_learning_rate": start,
        "end_learning_rate": end,
        "total_iters": num_steps,
        **others,
    }


SCHEDULES: list[Raw] = [
    {"ConstantLR": {"learning_rate": 0.3}},
    {"LinearLR": line(0.0, 1.0, 7)},
    {"LinearLR": line(0.0, 1.0, 7, cycle=True)},
    {"CosineDecayLR": line(1.0, 0.1, 9)},
    {"PolynomialLR": line(1.0, 0.1, 9, power=2.0)},
    {"PolynomialLR": line(1.0, 0.1, 9, power=0.0)},
    {"InverseSquareRootDecayLR": {"initial_learning_rate": 0.5, "scale": 3.0, "warmup_steps": 4}},
    {
        "SequentialLR": {
            "schedulers": [{"LinearLR": line(0, 1, 3)}, {"CosineDecayLR": line(1, 0, 8)}],
        }
    },
    {
        "SequentialLR": {
            "schedulers": [
                {"LinearLR": line(0, 1, 3)},
                {"ConstantLR": {"learning_rate": 1.0, "total_iters": 4}},
                {"LinearLR": line(1, 0, 5)},
            ]
        }
    },
    {
        "SequentialLR": {
            "milestones": [2, 5],
            "schedulers": [{"LinearLR": line(0, 1, 4)}] * 3,
        }
    },
]


@pytest.mark.parametrize("entry", SCHEDULES)
def test_rates_are_those_of_cerebras_pytorch(entry: Raw) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = cstorch.optim.AdamW([weight], lr=0.0)
    checked = SchedulerParams.model_validate(entry)
    scheduler = configure_scheduler(optimizer, checked.model_dump(exclude_none=True))
    found = []
    for step in range(20):
        expected = float(optimizer.param_groups[0]["lr"])
        found.append(learning_rate(checked, step))
        assert found[-1] == pytest.approx(expected, rel=1e-6, abs=1e-7), step
        optimizer.step()
        scheduler.step()
    assert len(set(found)) > 1 or "ConstantLR" in entry


# A large epsilon, so that adding it on the wrong side of the bias correction would show.
SETTINGS: Raw = {"learning_rate": 1e-2, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1}


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(16, 24), torch.nn.LayerNorm(24), torch.nn.Linear(24, 4)
    )


def train(model: torch.nn.Module, update: Callable[[], Any], num_steps: int) -> torch.Tensor:
    torch.manual_seed(1)
    for _ in range(num_steps):
        model.zero_grad()
        model(torch.randn(8, 16)).square().mean().backward()
        update()
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


def theirs(model: torch.nn.Module, settings: Raw) -> Any:
    named = {("lr" if key == "learning_rate" else key): value for key, value in settings.items()}
    return cstorch.optim.AdamW(parameter_groups(model, settings["weight_decay"]), **named)


def test_the_optimizer_computes_what_cerebras_pytorch_does(model: torch.nn.Module) -> None:
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    ours = AdamW(model, AdamWParams(**SETTINGS))
    expected = train(twin, theirs(twin, SETTINGS).step, 50)
    found = train(model, lambda: ours.update(SETTINGS["learning_rate"]), 50)
    assert (found - expected).abs().max() < 2e-6
    # torch adds epsilon after the bias correction: giving it another one is not idle.
    torchs = torch.optim.AdamW(
        parameter_groups(third, 0.1), lr=1e-2, betas=(0.9, 0.95), eps=1e-3, weight_decay=0.1
    )
    assert (train(third, torchs.step, 50) - expected).abs().max() > 1e-4


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.95), (0.0, 0.99), (0.9, 0.9999)])
@pytest.mark.parametrize("num_steps", [0, 100, 655, 656, 2_000, 20_000])
def test_the_bias_correction_of_any_step(
    model: torch.nn.Module, betas: tuple[float, float], num_steps: int
) -> None:
    """Also where one power has left float32's range and the other still corrects."""
    settings = {**SETTINGS, "betas": betas, "eps": 1e-8}
    twin = copy.deepcopy(model)
    plain = theirs(twin, settings)
    for state in plain.state.values():
        for name, beta in zip(("beta1_power", "beta2_power"), betas, strict=True):
            state[name].fill_(beta ** (num_steps + 1))
        state["exp_avg_sq"].fill_(1e-3)
    ours = AdamW(model, AdamWParams(**settings))
    ours.from_state(plain.state_dict())
    again = AdamW(copy.deepcopy(model), AdamWParams(**settings))
    again.from_state(ours.to_state(0.1))
    assert again.num_updates == ours.num_updates, "what is saved is what was there"
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    expected = train(twin, plain.step, 3)
    found = train(model, lambda: ours.update(settings["learning_rate"]), 3)
    assert (found - expected).abs().max() < 1e-6
    assert (before - expected).abs().max() > 1e-3


def test_a_state_of_another_model_does_not_fit(model: torch.nn.Module) -> None:
    ours = AdamW(model, AdamWParams(**SETTINGS))
    state = ours.to_state(0.1)
    wider = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.LayerNorm(32), torch.nn.Linear(32, 4)
    )
    with pytest.raises(ValueError, match=r"exp_avg.* 0 has shape \[24, 16\], allowed: \[32, 16\]"):
        AdamW(wider, AdamWParams(**SETTINGS)).from_state(state)
    with pytest.raises(ValueError, match="it has 6 parameters, allowed: 2"):
        AdamW(torch.nn.Linear(3, 3), AdamWParams(**SETTINGS)).from_state(state)
