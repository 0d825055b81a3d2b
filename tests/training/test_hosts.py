"""The hosts torch and cerebras are one: the same weights, masks, losses and files."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cerebras.pytorch as cstorch
import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.params.schema import Params
from mediswift_cs.tokens.hdf5 import ShardWriter
from mediswift_cs.training import mdl_state
from mediswift_cs.training.hosts.cerebras.session import Session
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.hosts.torch.session import TorchSession

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


def with_adjusted_rates(raw: Raw) -> None:
    adjusted = {"decoder_kernel": 4.0, "embedding": 0.5}
    raw["trainer"]["init"]["optimizer"]["AdamW"]["adjust_learning_rate"] = adjusted


CHANGES = [
    *(with_adjusted_rates, dense, sparse, accumulating, with_dropout, clipping_values),
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


def uneven(raw: Raw, folder: Path, batch_size: int, num_accumulated: int) -> Raw:
    """48 samples of which 1 to 16 tokens count, in batches of one size."""
    if not folder.exists():
        numbers = np.random.default_rng(3)
        stream = (numbers.integers(0, 64, (48, 1)) + 3 * np.arange(17)) % 64
        counted = np.arange(16) < numbers.integers(1, 17, (48, 1))
        samples = np.stack([stream[:, :-1], counted, stream[:, 1:]], axis=1).astype(np.int32)
        folder.mkdir()
        writer = ShardWriter(folder, max_sequence_length=16, samples_per_shard=50, attributes={})
        writer.write(samples)
        writer.close()
    changed = copy.deepcopy(raw)
    loader = changed["trainer"]["fit"]["train_dataloader"]
    loader |= {"data_dir": str(folder), "batch_size": batch_size}
    changed["trainer"]["init"]["loop"]["grad_accum_steps"] = num_accumulated
    return changed


@pytest.mark.parametrize("number", [0, 1], ids=["cerebras", "torch"])
def test_the_loss_of_the_same_samples_is_the_same_however_they_are_cut(
    toy_raw: Raw, tmp_path: Path, number: int
) -> None:
    """A mean of the batches' means would weigh a token by how few its batch has."""
    found = []
    for batch_size, num_accumulated in ((16, 1), (8, 2), (4, 4), (1, 16)):
        raw = uneven(toy_raw, tmp_path / "uneven", batch_size, num_accumulated)
        found.append(losses(hosts(raw)[number], raw, 3))
    for other in found[1:]:
        assert largest_difference(found[0], other) < 1e-6
    # Control: the batches' own means are others.
    raw = uneven(toy_raw, tmp_path / "uneven", 4, 1)
    host = hosts(raw)[number]
    host.model.eval()
    fit = Params(**raw).trainer.fit
    assert fit is not None
    batches = host.batches(host.make_dataloader(fit.train_dataloader), 4)
    with torch.no_grad():
        means = [float(host.evaluation_step(batch)[0]) for batch in batches]
    assert abs(sum(means) / 4 - found[0][0]) > 1e-4
    raw = uneven(toy_raw, tmp_path / "uneven", 4, 4)
    raw["trainer"]["init"]["torch"] = {"mean_over": "batches"}
    assert losses(hosts(raw)[number], raw, 1)[0] == pytest.approx(sum(means) / 4, abs=1e-6)


def test_what_torch_compile_does_not_find_is_one_sentence(toy_raw: Raw) -> None:
    toy_raw["trainer"]["init"]["torch"] = {"compile": True}
    plain = TorchSession(Params(**toy_raw), "CPU", for_training=True)

    def fail(batch: Any) -> Any:
        raise TorchDynamoException("no compiler here\nand much more")

    plain._forward = fail
    with pytest.raises(ConfigError, match=r"torch\.compile: got true, .* \(no compiler here\)$"):
        losses(plain, toy_raw, 1)


@pytest.mark.parametrize("first", ["cerebras", "torch"])
@pytest.mark.parametrize("change", [sparse, amsgrad, without_correction, with_adjusted_rates])
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


def test_either_goes_on_with_the_settings_that_it_is_given(toy_raw: Raw, tmp_path: Path) -> None:
    """Rate, decay and factors are the params', also where the checkpoint had others."""
    with_adjusted_rates(toy_raw)
    begun = hosts(toy_raw)[1]
    losses(begun, toy_raw, 7)
    path = tmp_path / "checkpoint_7.mdl"
    begun.write(begun.state_dict(), path)
    as_before = hosts(toy_raw)[0]
    as_before.load_state_dict(as_before.read(path), path)
    init = toy_raw["trainer"]["init"]
    factors = {"decoder_kernel": 8.0, "embedding": 0.5}
    init["optimizer"]["AdamW"] |= {"weight_decay": 0.7, "adjust_learning_rate": factors}
    init["schedulers"] = [{"ConstantLR": {"learning_rate": 0.02}}]
    changed = []
    for host in hosts(toy_raw):
        host.load_state_dict(host.read(path), path)
        changed.append(losses(host, toy_raw, 8, done=7))
    assert largest_difference(*changed) < 1e-5
    assert largest_difference(changed[0], losses(as_before, toy_raw, 8, done=7)) > 5e-2
    del factors["embedding"]
    for host in hosts(toy_raw):
        with pytest.raises(CheckpointError, match=r"optimizer state in .* does not fit"):
            host.load_state_dict(host.read(path), path)


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


def test_both_give_the_norm_of_the_gradients_before_clipping(toy_raw: Raw) -> None:
    toy_raw["trainer"]["init"]["precision"] = {"enabled": False, "max_gradient_norm": 1e-3}
    cerebras, plain = hosts(toy_raw)
    assert cerebras.gradient_norm is plain.gradient_norm is None
    for host in (cerebras, plain):
        losses(host, toy_raw, 1)
    # Far above what it was clipped to, and not the same with other weights.
    assert plain.gradient_norm is not None
    assert plain.gradient_norm > 0.1
    assert cerebras.gradient_norm == pytest.approx(plain.gradient_norm, rel=1e-5)
    toy_raw["trainer"]["init"]["seed"] = 2
    losses(other := hosts(toy_raw)[1], toy_raw, 1)
    assert other.gradient_norm != pytest.approx(plain.gradient_norm, rel=1e-5)
