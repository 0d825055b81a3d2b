"""What the training loop asks of a host, whichever package carries out the steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.schema import DataLoaderParams, Params

Batch = dict[str, Tensor]


class Update(NamedTuple):
    """The loss of an update in nats per counted token, and the learning rate that it took."""

    loss: Any
    learning_rate: Any


class EvaluationScores(Protocol):
    """What is counted beside the loss while a validation set is evaluated."""

    @property
    def accuracy(self) -> Any:
        """The share of counted tokens that were the most likely ones; ``float`` makes a number."""

    @property
    def answers(self) -> tuple[int, int] | None:
        """How many samples had every counted token right, and how many there were.

        None where nobody asks.
        """

    def reset(self, *, count_answers: bool = False) -> None:
        """Start a new evaluation."""


class Host(Protocol):
    """A model on a host, with what training it takes.

    Attributes:
        is_traced: steps run on a CS system, so that nothing may be computed outside of them.
        params: what it was made from.
        num_accumulated: batches of an update.
    """

    is_traced: bool
    params: Params
    model: MediSwiftModel
    num_accumulated: int

    @property
    def metrics(self) -> EvaluationScores:
        """The scores of the evaluation under way."""

    @property
    def failure(self) -> str | None:
        """What ends the run after the update that was reported, as the start of a sentence."""

    @property
    def loss_scale(self) -> float | None:
        """The dynamic loss scale of that update, where it is to be logged."""

    @property
    def gradient_norm(self) -> float | None:
        """The norm of that update's gradients before they were clipped by it.

        None where they are not, and where steps run on a CS system, whose graph does not give it.
        """

    @property
    def peak_flops(self) -> float | None:
        """Operations a second of the run's devices at their peak; None where it is not known."""

    def draw_masks(self) -> None:
        """Draw the masks that no checkpoint brought, and write their zeros into the weights."""

    def make_dataloader(self, params: DataLoaderParams) -> Any:
        """A loader that begins at the first sample."""

    def updates(
        self, dataloader: Any, num_updates: int, saved_after: Sequence[int]
    ) -> Iterator[list[Batch]]:
        """The batches of each of the next updates.

        ``saved_after``: the updates, counted from 0, after which :meth:`when_saved` functions run.
        """

    def batches(self, dataloader: Any, num_batches: int) -> Iterator[Batch]:
        """The next batches, for an evaluation."""

    def update(self, batches: list[Batch]) -> Update:
        """Train on the batches together: each counted token, or each batch, weighs the same."""

    def evaluation_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss of one batch per token and the number of its tokens, both scalars."""

    def after_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """A decorator: calls run at the end of the step, on the values of their tensors."""

    def when_saved(self, function: Callable[[], None]) -> Callable[[], None]:
        """A decorator: calls run at the end of the steps after which a checkpoint is due."""

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; every rank has to ask at the same step."""

    def state_dict(self) -> dict[str, Any]:
        """The state under ModelZoo's top-level keys, without step and data position."""

    def load_state_dict(self, state: Mapping[str, Any], source: Path) -> None:
        """Take over what :meth:`state_dict` gave, where the params ask for it.

        Raises:
            CheckpointError: weights or optimizer state do not fit; the message names ``source``.
        """

    def write(self, state: dict[str, Any], path: Path) -> None:
        """Write a state as a ``.mdl`` file, where there is none."""

    def read(self, path: Path) -> dict[str, Any]:
        """The state in a ``.mdl`` file, its tensors on the disk until they are used."""


def batch_weights(
    batches: list[Batch], weighs_tokens: bool, total: float | None = None
) -> list[float]:
    """What the loss of each batch counts in the loss of an update over all of them.

    The loss is a mean over tokens, so a batch counts as much as it has tokens: the loss of the same
    samples is the same, however they are cut into batches.

    Args:
        weighs_tokens: of the params; False makes batches count alike.
        total: counted tokens that make a weight of 1; None: those of ``batches``.
    """
    if not weighs_tokens:
        return [1.0 / len(batches)] * len(batches)
    if total is None and len(batches) == 1:
        return [1.0]
    counts = num_counted(batches)
    total = sum(counts) if total is None else total
    return [count / total if total else 0.0 for count in counts]


def num_counted(batches: list[Batch]) -> list[float]:
    """The tokens that the loss of each batch counts."""
    return [float(batch["attention_mask"].sum()) for batch in batches]
