"""What a run tells: a progress bar, a log file, a JSON-lines file and TensorBoard events."""

import json
import logging
import math
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from mediswift_cs.checkpoints.model_dir import LOG_FILE, METRICS_FILE, metric_lines
from mediswift_cs.errors import DataError, TrainingError
from mediswift_cs.progress import progress
from mediswift_cs.storage.write import append, write_text
from mediswift_cs.training import ranks
from mediswift_cs.training.events import EventFile

LOGGER = logging.getLogger("mediswift_cs")

EVENTS_FOLDER = "events"


class LogFile(logging.FileHandler):
    """A log file; one that cannot be written ends the run, as any other file of it does."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Called while the error is handled; DataError in the place of an OSError."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise DataError(f"cannot write {self.baseFilename}: {reason}") from error
        super().handleError(record)


def configure_logging(model_dir: Path) -> None:
    """Log to standard error and to ``model_dir``/run.log; other ranks only warn."""
    LOGGER.setLevel(logging.INFO if ranks.is_main() else logging.WARNING)
    LOGGER.propagate = False
    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
        handler.close()
    form = logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if ranks.is_main():
        handlers.append(LogFile(model_dir / LOG_FILE, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(form)
        LOGGER.addHandler(handler)
    LOGGER.info("CPU threads: %d (--threads or OMP_NUM_THREADS)", torch.get_num_threads())


class Journal:
    """The records of one run in its model_dir; a context manager.

    ``metrics.jsonl`` has one object a line, always with ``step``: training lines hold loss (nats
    per token), learning_rate and tokens_per_second; where gradients are clipped by their norm,
    gradient_norm (before clipping) and clipped_fraction (of the updates since the line before);
    with dynamic loss scaling loss_scale; on a GPU gpu_memory_gib (the most so far) and, where its
    peak is known, model_flops_utilization;
    evaluation lines hold val_loss, val_perplexity, val_accuracy and val_tokens, and where they are
    known val_bits_per_byte or val_answer_accuracy.
    """

    def __init__(
        self,
        model_dir: Path,
        *,
        first_step: int,
        last_step: int,
        log_steps: int,
        trains: bool = True,
        peak_tokens_per_second: float | None = None,
        max_gradient_norm: float | None = None,
        clipping: tuple[int, int] | None = None,
    ) -> None:
        """``trains``: lines later than ``first_step`` are of steps that will be repeated, and are
        dropped. An evaluation of an old checkpoint adds its line and drops none.

        ``peak_tokens_per_second``: of the model at the peak of the device. ``max_gradient_norm``:
        what gradients are clipped to. ``clipping``: what the checkpoint that the run continues from
        has noted of the updates since the last line.
        """
        self.peak_tokens_per_second = peak_tokens_per_second
        self.max_gradient_norm = max_gradient_norm
        self.path = model_dir / METRICS_FILE
        self.first_step = first_step
        self.last_step = last_step
        self.log_steps = log_steps
        if trains:
            self._drop_repeated_steps()
        else:
            self._end_cut_line()
        known = ((values.pop("step"), values) for _, values in metric_lines(self.path))
        self.tensorboard = EventFile(model_dir / EVENTS_FOLDER, known)
        self.redirection = logging_redirect_tqdm(loggers=[LOGGER])
        self.bar: Any = None
        self._tokens_since_log = 0
        self._num_clipped, self._num_clippable = clipping or (0, 0)
        self._time_of_log = time.perf_counter()

    def _drop_repeated_steps(self) -> None:
        """Forget lines later than the checkpoint that the run continues from."""
        if self.path.exists():
            lines = metric_lines(self.path)
            kept = [line + "\n" for line, values in lines if values["step"] <= self.first_step]
            write_text(self.path, "".join(kept))

    def _end_cut_line(self) -> None:
        """Begin a line of one's own where a kill has cut the last one short."""
        content = self.path.read_bytes() if self.path.exists() else b""
        if content and not content.endswith(b"\n"):
            append(self.path, b"\n")

    def lacks_evaluation(self, num_sets: int) -> bool:
        """Whether the scores at ``first_step`` of one of ``num_sets`` sets are not written down."""
        found: set[str] = set()
        for _, values in metric_lines(self.path):
            if values["step"] == self.first_step:
                found.update(values)
        numbers = [None] if num_sets == 1 else range(num_sets)
        return any(f"val_loss{_suffix(number)}" not in found for number in numbers)

    def __enter__(self) -> "Journal":
        self.redirection.__enter__()
        self.bar = progress("train", "steps", total=self.last_step, done=self.first_step)
        self._time_of_log = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.close()
        self.redirection.__exit__(kind, error, traceback)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one line to metrics.jsonl and one point a value to TensorBoard.

        JSON has no infinity, which the perplexity of a very large loss is: null stands for it.

        Raises:
            DataError: one of the files cannot be written.
        """
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"step": step, **finite}, allow_nan=False) + "\n"
        append(self.path, line.encode())
        self.tensorboard.write(step, finite)

    def train_step(
        self,
        step: int,
        loss: float,
        learning_rate: float,
        num_tokens: int,
        loss_scale: float | None = None,
        gradient_norm: float | None = None,
    ) -> None:
        """Take in a finished step; every ``log_steps`` it is written down."""
        self._tokens_since_log += num_tokens
        if gradient_norm is not None and self.max_gradient_norm is not None:
            self._num_clipped += gradient_norm > self.max_gradient_norm
            self._num_clippable += 1
        self.bar.update()
        if step % self.log_steps and step != self.last_step:
            return
        now = time.perf_counter()
        rate = self._tokens_since_log / (now - self._time_of_log)
        self._tokens_since_log, self._time_of_log = 0, now
        values = {"loss": loss, "learning_rate": learning_rate, "tokens_per_second": rate}
        if gradient_norm is not None:
            values["gradient_norm"] = gradient_norm
        if self._num_clippable:
            values["clipped_fraction"] = self._num_clipped / self._num_clippable
            self._num_clipped = self._num_clippable = 0
        if loss_scale is not None:
            values["loss_scale"] = loss_scale
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            values["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        if self.peak_tokens_per_second is not None:
            values["model_flops_utilization"] = rate / self.peak_tokens_per_second
        self.write(step, values)
        self.bar.set_postfix_str(f"loss {loss:.4f}, {rate:,.0f} tokens/s")
        LOGGER.info(
            "step %d/%d loss %.4f lr %.3g %s tokens/s",
            *(step, self.last_step, loss, learning_rate, f"{rate:,.0f}"),
        )

    @property
    def clipping(self) -> tuple[int, int] | None:
        """Of the updates since the last line, those that were clipped and all, for a checkpoint."""
        return (self._num_clipped, self._num_clippable) if self._num_clippable else None

    def evaluation(self, step: int, values: dict[str, float], number: int | None) -> None:
        """Write down an evaluation; its time does not count in the training rate.

        ``number`` tells several validation sets apart.

        Raises:
            TrainingError: the loss is not finite.
        """
        check_finite("the held-out loss", values["val_loss"], step)
        suffix = _suffix(number)
        self.write(step, {name + suffix: value for name, value in values.items()})
        told = f"perplexity {values['val_perplexity']:.2f}"
        if (bits := values.get("val_bits_per_byte")) is not None:
            told += f" bits per byte {bits:.4f}"
        if (right := values.get("val_answer_accuracy")) is not None:
            told += f" answers {right:.4f} token accuracy"
        else:
            told += " accuracy"
        LOGGER.info(
            "step %d held-out loss %.4f %s %.4f over %s tokens",
            *(step, values["val_loss"], told, values["val_accuracy"]),
            f"{values['val_tokens']:,.0f}",
        )
        self._tokens_since_log, self._time_of_log = 0, time.perf_counter()


class SilentJournal(Journal):
    """The journal of the ranks that do not write."""

    clipping = None

    def __init__(self) -> None:
        pass

    def lacks_evaluation(self, num_sets: int) -> bool:
        """False: the rank that writes knows."""
        return False

    def __enter__(self) -> "SilentJournal":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def write(self, *_values: object) -> None:
        """Write nothing: another rank keeps the journal."""

    def train_step(self, *_values: object, **_named: object) -> None:
        """Note nothing: another rank keeps the journal."""

    def evaluation(self, *_values: object) -> None:
        """Note nothing: another rank keeps the journal."""


def open_journal(model_dir: Path, **settings: Any) -> Journal | SilentJournal:
    """The journal of this rank; the arguments are those of :class:`Journal`."""
    return Journal(model_dir, **settings) if ranks.is_main() else SilentJournal()


def check_finite(what: str, loss: float, step: int, learning_rate: float | None = None) -> None:
    """See that a loss is a number that training can go on with.

    Raises:
        TrainingError: it is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise not_finite(f"{what} is {loss}", step, learning_rate)


def not_finite(what: str, step: int, learning_rate: float | None) -> TrainingError:
    """The error that ends a run whose numbers are not finite any more."""
    rate = "" if learning_rate is None else f" with the learning rate {learning_rate:g}"
    return TrainingError(
        f"{what} at step {step}{rate}: a run goes on with finite numbers only; look at the "
        f"learning rate and the data"
    )


def _suffix(number: int | None) -> str:
    """Of a value's name, where there are several validation sets."""
    return "" if number is None else f"_{number}"
