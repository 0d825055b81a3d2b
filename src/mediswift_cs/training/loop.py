"""The training loop: steps, evaluations, checkpoints, resuming, stopping."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from mediswift_cs.checkpoints.record import Record, global_step, stored_params
from mediswift_cs.data.processors import make_processor
from mediswift_cs.data.prompts import MediSwiftPromptDataProcessor
from mediswift_cs.data.restartable import position
from mediswift_cs.errors import CheckpointError, ConfigError
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.params.training_cost import decoder_shape, weights_train
from mediswift_cs.training import checkpoint, origin, ranks
from mediswift_cs.training.changed_params import changed_params
from mediswift_cs.training.held_out import EvaluationStoppedError, evaluate
from mediswift_cs.training.hosts.host import Batch, Host
from mediswift_cs.training.journal import Journal, check_finite, not_finite, open_journal
from mediswift_cs.training.masks import measure_sparsity
from mediswift_cs.training.plan import RunPlan, num_checkpoints_kept, plan_run
from mediswift_cs.training.stopping import AFTER_BATCH, AFTER_STEP, StopRequest, stop_on_signal
from mediswift_cs.training.warm_start import (
    check_soft_prompt,
    check_sparsity,
    load_starting_weights,
    metadata,
    own_record,
)

LOGGER = logging.getLogger("mediswift_cs")


class InterruptedRunError(Exception):
    """The run was stopped by a signal; its state is saved."""


class Trainer:
    """One training run in one model_dir."""

    def __init__(
        self, params: Params, model_dir: Path, raw_params: dict[str, Any], host: Host
    ) -> None:
        """``raw_params`` is the params file as read; it goes into the checkpoints' metadata."""
        self.params = params
        self.host = host
        self.model_dir = model_dir
        self.raw_params = raw_params
        self.init = params.trainer.init
        assert params.trainer.fit is not None
        train_params = params.trainer.fit.train_dataloader
        self.processor = make_processor(train_params)
        if isinstance(self.processor, MediSwiftPromptDataProcessor):
            self.processor.check_model(self.init.model)
        self.dataloader = host.make_dataloader(train_params)
        self.batch_size = train_params.batch_size
        if ranks.num_ranks() > 1:
            if self.init.seed is None:
                raise ConfigError(
                    "trainer.init.seed: got null, allowed: a number, so that all processes draw "
                    "the same masks"
                )
            self.dataloader.order.rows = slice(*ranks.share_of_batch(self.batch_size))
        self.step = 0
        self.samples_streamed = 0
        self.continues_own_run = False
        self.learning_rate: float | None = None
        self.journal: Journal | None = None
        self._clipping: tuple[int, int] | None = None

    @property
    def tokens_per_step(self) -> int:
        """How many tokens one update sees."""
        length = self.processor.dataset.length
        return self.batch_size * self.host.num_accumulated * length

    def load(self, path: Path) -> None:
        """Continue from a checkpoint: weights, masks, optimizer, schedule, data position."""
        state = checkpoint.load_checkpoint(path, self.host.read)
        check_soft_prompt(self.host.model, state, path)
        changed = changed_params(stored_params(state), self.params, path)
        self.host.load_state_dict(state, path)
        self.step = global_step(state, path) or 0
        if self.init.sparsity is not None and not self.host.is_traced:
            check_sparsity(self.host.model, self.init.sparsity.level_after(self.step), path)
        self.continues_own_run = path.resolve().parent == self.model_dir.resolve()
        if saved := state.get("dataloader"):
            self.dataloader.load_state_dict(saved)
            self.samples_streamed = saved["samples_streamed"]
        record = Record.read(state)
        self._clipping = record.clipping
        if record.rng_state is not None:
            try:
                torch.set_rng_state(record.rng_state.detach().clone())
            except (AttributeError, RuntimeError, TypeError) as error:
                raise CheckpointError(
                    f"rng_state in the checkpoint {path}: got {record.rng_state!r:.80}, allowed: "
                    "a random state of torch"
                ) from error
        LOGGER.info("continuing from %s at step %d", path, self.step)
        for line in changed:
            LOGGER.info("%s", line)

    def start_from(self, path: Path) -> None:
        """Take the weights of another run, and begin at step 0."""
        load_starting_weights(self.host, path, self.processor.tokenizer_sha256)

    def save(self) -> Path:
        """Write the checkpoint of the current step.

        Raises:
            TrainingError: the weights or the optimizer's state are not finite.
            CheckpointError: the file cannot be written.
        """
        path = checkpoint.checkpoint_path(self.model_dir, self.step)
        state = self.host.state_dict()
        if not self.host.is_traced and (name := checkpoint.name_of_not_finite(state)):
            raise not_finite(f"{name} is not finite", self.step, self.learning_rate)
        state["global_step"] = self.step
        state["dataloader"] = (
            self.dataloader.state_dict() if self.host.is_traced else self._position()
        )
        clipping = self.journal.clipping if self.journal is not None else None
        record = own_record(self.host.model, self.processor.tokenizer_sha256, clipping)
        state |= record.to_state()
        state["__metadata__"] = [metadata(self.host.model, self.raw_params)]
        checkpoint.save_checkpoint(state, path, self.host.write)
        if (num_kept := num_checkpoints_kept(self.init)) is not None:
            checkpoint.keep_last(self.model_dir, num_kept)
        LOGGER.info("saved %s", path)
        return path

    def _position(self) -> dict[str, Any]:
        """Where in the data the run is."""
        return position(self.processor.identity, self.samples_streamed)

    def plan(self) -> RunPlan:
        """The steps still to do: of an interrupted run those that it had left."""
        num_batches = len(self.processor.dataset) // self.batch_size
        begun = origin.counted_from(self.model_dir, self.step)
        plan = plan_run(self.init, first_step=begun, num_batches=num_batches)
        return plan.continued_at(self.step)

    def fit(self, val_params: list[DataLoaderParams]) -> dict[str, float]:
        """Train to the last step with evaluations in between; returns the last evaluation."""
        plan = self.plan()
        if ranks.is_main():
            origin.record_counting(self.model_dir, plan.counted_from)
        scores: dict[str, float] = {}
        if not self.host.is_traced:
            self.host.draw_masks()
        self.log_sparsity("at the start")
        self.journal = journal = open_journal(
            self.model_dir,
            first_step=self.step,
            last_step=plan.last_step,
            log_steps=self.init.logging.log_steps,
            peak_tokens_per_second=self._peak_tokens_per_second(),
            max_gradient_norm=self.init.precision.max_gradient_norm,
            clipping=self._clipping,
        )
        with stop_on_signal() as stop, journal:
            if self.init.checkpoint.save_initial_checkpoint and self.step == 0 and ranks.is_main():
                self.save()
            if self._missed_evaluation(plan, len(val_params), journal):
                scores = self.evaluate(val_params, journal, stop)
            for end in plan.segment_ends():
                self._train_segment(plan, end, journal, stop)
                if plan.steps_between_evaluations:
                    scores = self.evaluate(val_params, journal, stop)
        self.log_sparsity("at the end")
        if ranks.is_main():
            origin.record_counting(self.model_dir, self.step)
        return scores

    def _peak_tokens_per_second(self) -> float | None:
        """How many tokens the model could train on at the peak of the device."""
        if self.host.peak_flops is None:
            return None
        # A GPU computes what is masked as well.
        shape = decoder_shape(self.params, as_dense=True)
        flops = shape.training_flops(weights_train=weights_train(self.params)).total
        return self.host.peak_flops / (flops / shape.sequence_length)

    def _missed_evaluation(self, plan: RunPlan, num_sets: int, journal: Journal) -> bool:
        """Whether a run was stopped between the checkpoint of this step and its evaluation."""
        is_due = self.continues_own_run and plan.is_evaluation_step(self.step)
        missed = is_due and num_sets > 0 and journal.lacks_evaluation(num_sets)
        return self.host.any_rank(missed)

    def evaluate(
        self, val_params: list[DataLoaderParams], journal: Journal, stop: StopRequest
    ) -> dict[str, float]:
        """Score every validation set; the scores of the last one are returned.

        Raises:
            InterruptedRunError: a stop was asked for; the next run makes up for the evaluation.
        """
        scores: dict[str, float] = {}
        stop.answer = AFTER_STEP if self.host.is_traced else AFTER_BATCH
        for number, params in enumerate(val_params):
            try:
                scores = evaluate(
                    self.host, params, self.init.loop.eval_steps, lambda: self._is_stopped(stop)
                )
            except EvaluationStoppedError:
                self._stop_here()
            journal.evaluation(self.step, scores, number if len(val_params) > 1 else None)
        stop.answer = AFTER_STEP
        return scores

    def log_sparsity(self, moment: str) -> None:
        """Write the fraction of zeros of each weight, as it is now, into the log."""
        if not self.host.is_traced:
            table = measure_sparsity(self.host.model).to_text()
            LOGGER.info("zeros in the weights %s:\n%s", moment, table)

    def _is_stopped(self, stop: StopRequest) -> bool:
        """Whether any rank was asked to stop; the ranks have to ask together."""
        return self.host.any_rank(stop.signal_name is not None)

    def _updates(self, plan: RunPlan, end: int) -> Iterator[list[Batch]]:
        """The batches of each update up to step ``end``; a checkpoint is due after some."""
        # Each segment iterates the loader anew: without this it would repeat the epoch's start.
        if not self.host.is_traced:
            self.dataloader.load_state_dict(self._position())
        begin = self.step
        saved_after = [
            step - begin - 1 for step in range(begin + 1, end + 1) if plan.is_checkpoint_step(step)
        ]
        return self.host.updates(self.dataloader, end - begin, saved_after)

    def _take_in(self, loss: float, learning_rate: float, journal: Journal) -> None:
        """A finished step, seen from Python; nothing is saved of one whose loss is not finite."""
        self.learning_rate = learning_rate
        if failure := self.host.failure:
            raise not_finite(failure, self.step, learning_rate)
        check_finite("the loss", loss, self.step, learning_rate)
        journal.train_step(
            *(self.step, loss, learning_rate, self.tokens_per_step),
            loss_scale=self.host.loss_scale,
            gradient_norm=self.host.gradient_norm,
        )

    def _train_segment(self, plan: RunPlan, end: int, journal: Journal, stop: StopRequest) -> None:
        """Train up to step ``end``; raises InterruptedRunError once a stop is asked for."""
        host = self.host
        host.model.train()

        @host.after_step
        def report(loss: Tensor, learning_rate: Tensor) -> None:
            self._take_in(float(loss), float(learning_rate), journal)

        @host.when_saved
        def save() -> None:
            self.save()

        for batches in self._updates(plan, end):
            # Asked at the top, where the closures of the step before have run.
            if not host.is_traced and self._is_stopped(stop):
                break
            loss, learning_rate = host.update(batches)
            self.samples_streamed += self.batch_size * len(batches)
            self.step += 1
            report(loss, learning_rate)
            save()
        if self.step < plan.last_step and self._is_stopped(stop):
            self._stop_here()

    def _stop_here(self) -> NoReturn:
        """End the run at this step, with its checkpoint."""
        path = checkpoint.checkpoint_path(self.model_dir, self.step)
        if ranks.is_main() and not path.exists():
            self.save()
        raise InterruptedRunError(path)
