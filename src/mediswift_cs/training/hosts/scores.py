"""What an evaluation counts beside the loss, where steps are not traced."""

from torch import Tensor, nn


class Scores(nn.Module):
    """Counts right predictions over tokens and, if asked for, over whole answers.

    Attributes:
        answers: how many samples had every counted token right, and how many there were; None
            where nobody asks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self, *, count_answers: bool = False) -> None:
        """Start a new evaluation."""
        self.answers: tuple[int, int] | None = (0, 0) if count_answers else None
        self._right = self._counted = 0

    def forward(self, logits: Tensor, labels: Tensor, loss_mask: Tensor, loss: Tensor) -> None:
        """Take in one batch: logits [batch, length, vocab_size], the others [batch, length]."""
        is_counted = loss_mask != 0
        is_right = logits.argmax(-1) == labels
        self._right += int((is_right & is_counted).sum())
        self._counted += int(is_counted.sum())
        if self.answers is not None:
            whole = (is_right | ~is_counted).all(dim=1) & is_counted.any(dim=1)
            right, number = self.answers
            self.answers = (
                right + int(whole.sum()),
                number + int(is_counted.any(dim=1).sum()),
            )

    @property
    def accuracy(self) -> float:
        """The share of counted tokens that were the most likely ones."""
        return self._right / self._counted if self._counted else float("nan")
