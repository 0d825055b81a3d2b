"""The loss over each id of the vocabulary, in chunks, and on devices that are no host."""

from typing import Any, Literal

import pytest
import torch
from torch.nn import functional

from mediswift_cs.model import loss as module
from mediswift_cs.model.loss import (
    at_least_one,
    language_model_loss,
    mean_loss_per_token,
    token_cross_entropy,
)


class OnGpu(torch.Tensor):
    """A tensor in the CPU's memory that says it is on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


@pytest.mark.parametrize("needs_gradient", [False, True])
def test_each_id_of_the_vocabulary_may_be_a_label(needs_gradient: bool) -> None:
    """Also 0, and 100, which is a mark for "none" with another sign."""
    torch.manual_seed(0)
    logits, labels = torch.randn(130, 130), torch.arange(130)
    given = logits.clone().requires_grad_(needs_gradient)
    found = token_cross_entropy(given, labels)
    expected = -torch.log_softmax(logits, dim=-1).diagonal()
    torch.testing.assert_close(found.detach(), expected)
    assert (expected > 1e-3).all(), "control: a label that is left out costs 0"
    if needs_gradient:
        found.sum().backward()
        expected_gradient = torch.softmax(logits, dim=-1) - torch.eye(130)
        torch.testing.assert_close(given.grad, expected_gradient)


@pytest.mark.parametrize("loss_scaling", ["num_tokens", "batch_size"])
def test_a_single_token_is_divided_by_one(
    loss_scaling: Literal["num_tokens", "batch_size"],
) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 4, 9), torch.tensor([[3, 0, 7, 1]], dtype=torch.int32)
    mask = torch.tensor([[0, 0, 1, 0]], dtype=torch.int32)
    expected = -float(torch.log_softmax(logits[0, 2], dim=-1)[7])
    loss = language_model_loss(logits, labels, mask, loss_scaling, 1.0)
    assert float(loss) == pytest.approx(expected)
    assert float(mean_loss_per_token(loss, mask, loss_scaling, 1.0)) == pytest.approx(expected)


def test_only_a_host_replaces_a_count_of_nothing() -> None:
    """The graph of another device is recorded once, for batches that count."""
    assert [int(at_least_one(torch.tensor(n))) for n in (0, 1, 2)] == [1, 1, 2]
    assert int(at_least_one(torch.tensor(0).as_subclass(OnGpu))) == 1
    elsewhere = torch.zeros((), device="meta")
    assert at_least_one(elsewhere) is elsewhere


def test_only_a_host_computes_the_gradient_in_place_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits, labels = torch.randn(3, 8, requires_grad=True), torch.tensor([1, 2, 0])

    def made_by(given: torch.Tensor, labels: torch.Tensor) -> str:
        return type(token_cross_entropy(given, labels).grad_fn).__name__

    assert made_by(logits, labels) == "TokenCrossEntropyBackward"
    assert made_by(logits.as_subclass(OnGpu), labels) == "TokenCrossEntropyBackward"
    assert made_by(logits.detach().to("meta").requires_grad_(), labels.to("meta")) == (
        "NllLossBackward0"
    )

    def refuse(*_: torch.Tensor) -> None:
        raise AssertionError("log-probabilities are kept")

    monkeypatch.setattr(module.TokenCrossEntropy, "apply", refuse)
    assert token_cross_entropy(logits.detach(), labels).shape == (3,)
    with pytest.raises(AssertionError, match="are kept"):
        token_cross_entropy(logits, labels)


@pytest.mark.parametrize(
    ("chunk", "sizes"), [(1, [50] * 7), (149, [100, 100, 100, 50]), (1 << 22, [350])]
)
def test_the_gradient_is_made_in_chunks_with_the_same_bits(
    chunk: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    kernel = torch._log_softmax_backward_data

    def noted(gradient: torch.Tensor, *others: Any) -> torch.Tensor:
        found.append(gradient.numel())
        return kernel(gradient, *others)

    torch.manual_seed(0)
    ours = torch.randn(7, 50, requires_grad=True)
    theirs, labels = ours.detach().clone().requires_grad_(), torch.randint(0, 50, (7,))
    functional.cross_entropy(theirs, labels, reduction="sum").backward()
    monkeypatch.setattr(torch, "_log_softmax_backward_data", noted)
    monkeypatch.setattr(module, "_CHUNK", chunk)
    token_cross_entropy(ours, labels).sum().backward()
    assert found == sizes
    assert ours.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
