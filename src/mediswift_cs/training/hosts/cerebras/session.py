"""Everything that one run holds on one backend: model, optimizer, masks, and the traced steps."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cerebras.pytorch as cstorch
import torch
from torch import Tensor, nn

from mediswift_cs.model.attention import SelfAttention
from mediswift_cs.model.decoder import PositionEmbedding
from mediswift_cs.model.finetuning import build_model
from mediswift_cs.model.loss import mean_loss_per_token
from mediswift_cs.params.schema import Params, PrecisionParams
from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.hosts.cerebras import backend, dynamic_sparsity
from mediswift_cs.training.hosts.cerebras.optimizer import configure_optimizer, configure_scheduler
from mediswift_cs.training.hosts.cerebras.precision import Precision
from mediswift_cs.training.hosts.host import Batch, Update, batch_weights
from mediswift_cs.training.hosts.scores import Scores
from mediswift_cs.training.masks import fold_masks
from mediswift_cs.training.parameter_groups import parameter_groups


class EvaluationMetrics(nn.Module):
    """ModelZoo's two metrics of a language model, kept on the device."""

    answers = None
    """Whole answers are not counted where steps are traced."""

    def __init__(self) -> None:
        super().__init__()
        self.perplexity = cstorch.metrics.PerplexityMetric(name="eval/lm_perplexity")
        self.accuracy = cstorch.metrics.AccuracyMetric(name="eval/accuracy")

    def forward(self, logits: Tensor, labels: Tensor, loss_mask: Tensor, loss: Tensor) -> None:
        """Take in one batch; ``loss`` is the mean over the counted tokens."""
        weights = loss_mask.to(torch.float32)
        predictions = logits.argmax(-1).int()
        self.accuracy(labels=labels, predictions=predictions, weights=weights)
        self.perplexity(labels=labels, loss=loss * weights.sum(), weights=weights)

    def reset(self, *, count_answers: bool = False) -> None:
        """Start a new evaluation."""
        assert not count_answers
        self.perplexity.reset()
        self.accuracy.reset()


def prepare_for_csx(model: nn.Module) -> None:
    """Write the model in the form that the CSX compiler knows from ModelZoo's GPT-3.

    Positions are a constant of the graph. Where the precision settings ask for speed, the softmax
    is computed in the half format (ModelZoo 2.10, models/nlp/gpt2/model.py).
    """
    level = cstorch.backends.csx.precision.optimization_level
    half = cstorch.amp.get_half_dtype_str()
    softmax_in_half = level == 2 or (level == 1 and half == "cbfloat16")
    for module in model.modules():
        if isinstance(module, PositionEmbedding):
            module.as_constant = cstorch.make_constant
        if isinstance(module, SelfAttention) and softmax_in_half:
            module.softmax_in_float32 = False


class Session:
    """A model on a backend, with what training it takes.

    The order of construction is ModelZoo's (seed, model, optimizer, schedulers, masks), so that
    the same seed gives the same weights and masks in both hosts.
    """

    def __init__(self, params: Params, *, for_training: bool) -> None:
        init = params.trainer.init
        self.params = params
        self.backend = cstorch.backend()
        self.is_traced = bool(self.backend.is_csx)
        self.precision = Precision(init.precision or PrecisionParams(enabled=False))
        if init.seed is not None:
            torch.manual_seed(init.seed)
        with self.backend.device:
            self.metrics = EvaluationMetrics() if self.is_traced else Scores()
            self.model = build_model(init.model, self.metrics)
        if self.is_traced:
            prepare_for_csx(self.model)
        self.compiled_model = cstorch.compile(self.model, self.backend)
        self.optimizer: cstorch.optim.Optimizer | None = None
        self.schedulers: list[Any] = []
        if for_training:
            assert init.optimizer is not None
            self.optimizer = configure_optimizer(self.model, init.optimizer)
            self.schedulers = [
                configure_scheduler(self.optimizer, entry.model_dump(exclude_none=True))
                for entry in init.schedulers or []
            ]
            self.precision.create_scaler()
        self.sparsity: cstorch.sparse.SparsityAlgorithm | None = None
        if init.sparsity is not None:
            # Each weight that the filter names has a mask, the buffer ``<weight>_mask``, which
            # hooks apply to weights, gradients and moments; the compiler learns of it by them.
            dynamic_sparsity.mend()
            self.sparsity = cstorch.sparse.configure(init.sparsity.model_dump(exclude_none=True))
            self.model.apply(self.sparsity)
            if self.optimizer is not None:
                self.optimizer.apply(self.sparsity)
        self.num_accumulated = 1 if self.is_traced else init.loop.grad_accum_steps
        self.training_step = cstorch.trace(self._training_step)
        self.evaluation_step = cstorch.trace(torch.no_grad()(self._evaluation_step))

    peak_flops: float | None = None
    make_dataloader = staticmethod(backend.make_dataloader)
    batches = staticmethod(backend.batches)
    after_step = staticmethod(backend.after_step)
    when_saved = staticmethod(backend.when_saved)

    @property
    def failure(self) -> str | None:
        """What ends the run after the update that was reported, as the start of a sentence."""
        return self.precision.failure

    @property
    def loss_scale(self) -> float | None:
        """The dynamic loss scale of that update, where it is to be logged."""
        return self.precision.logged_loss_scale

    @property
    def gradient_norm(self) -> float | None:
        """The norm of that update's gradients before clipping; None on CSX, which traces it."""
        return self.precision.gradient_norm

    def any_rank(self, flag: bool) -> bool:
        """The flag: this host has one process."""
        return flag

    def updates(
        self, dataloader: Any, num_updates: int, saved_after: Sequence[int]
    ) -> Iterator[list[Batch]]:
        """The batches of each of the next updates; a checkpoint is due after some."""
        number = self.num_accumulated
        ends = [(update + 1) * number - 1 for update in saved_after]
        batches: list[Batch] = []
        for batch in backend.batches(dataloader, num_updates * number, ends):
            batches.append(batch)
            if len(batches) == number:
                yield batches
                batches = []

    def write(self, state: dict[str, Any], path: Path) -> None:
        """Write a state; on CSX its tensors come from the cluster, one after the other."""
        if self.is_traced:
            cstorch.save(state, str(path))
        else:
            mdl_state.write(state, path)

    def read(self, path: Path) -> dict[str, Any]:
        """The state in a ``.mdl`` file, its tensors on the disk until they are used."""
        state: dict[str, Any] = cstorch.load(str(path)) if self.is_traced else mdl_state.read(path)
        return state

    @property
    def learning_rate(self) -> Any:
        """Of the next update, before groups multiply it: a number, or a tensor of the graph."""
        assert self.optimizer is not None
        groups = self.optimizer.param_groups
        # Some weights always keep the scheduled rate, as layer norms and biases do.
        return next(
            group["lr"] for group in groups if group.get("adjust_learning_rate", 1.0) == 1.0
        )

    def draw_masks(self) -> None:
        """Draw the masks that no checkpoint brought, and write their zeros into the weights."""
        if self.sparsity is not None:
            self.sparsity.initialize()
            fold_masks(self.model)

    def update(self, batches: list[Batch]) -> Update:
        """Train on the batches together: each counted token, or each batch, weighs the same."""
        if self.is_traced:
            # The rate is the one after the schedule's step, as the recorded graphs give it out.
            (batch,) = batches
            return Update(self.training_step(batch), self.learning_rate)
        # Read before the schedule's step, and copied, because it is changed in place.
        learning_rate = float(self.learning_rate)
        weights = batch_weights(batches, self.params.trainer.init.weighs_tokens)
        losses = [
            self.training_step(batch, weight, index + 1 == len(batches))
            for index, (batch, weight) in enumerate(zip(batches, weights, strict=True))
        ]
        return Update(sum(losses), torch.tensor(learning_rate))

    def _training_step(self, batch: Batch, weight: float = 1.0, update: bool = True) -> Tensor:
        """Forward, backward and, unless gradients are still accumulating, the update.

        Returns the weighted loss of the batch, a detached scalar.
        """
        assert self.optimizer is not None
        with self.precision.autocast():
            loss = self.compiled_model(batch)
        if weight != 1.0:
            loss = loss * weight
        self.precision.backward(loss)
        if update:
            self.precision.optimizer_step(self.optimizer)
            self.optimizer.zero_grad()
            for scheduler in self.schedulers:
                scheduler.step()
            self.precision.watch_loss_scale()
        detached: Tensor = loss.detach()
        return detached

    def _evaluation_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss of one batch per token and the number of its tokens, both scalars."""
        with self.precision.autocast():
            loss = self.compiled_model(batch)
        config, loss_mask = self.model.config, batch["attention_mask"]
        mean = mean_loss_per_token(loss, loss_mask, config.loss_scaling, config.loss_weight)
        return mean, loss_mask.sum()

    def state_dict(self) -> dict[str, Any]:
        """The state under ModelZoo's top-level keys, without step and data position."""
        state: dict[str, Any] = {"model": self.model.state_dict()}
        if self.optimizer is not None:
            state["optimizer"] = self.optimizer.state_dict()
            state["schedulers"] = [scheduler.state_dict() for scheduler in self.schedulers]
        if self.precision.scaler is not None:
            state["grad_scaler"] = self.precision.scaler.state_dict()
        if self.sparsity is not None:
            state["sparsity"] = self.sparsity.state_dict()
        return state

    def _apply_settings(self) -> None:
        """Settings are those of the params, also where a checkpoint was saved with others."""
        optimizer = self.params.trainer.init.optimizer
        if self.optimizer is None or optimizer is None:
            return
        own = parameter_groups(self.model, optimizer.AdamW)
        for group, settings in zip(self.optimizer.param_groups, own, strict=True):
            group |= {name: value for name, value in settings.items() if name != "params"}
            group |= {"betas": optimizer.AdamW.betas, "eps": optimizer.AdamW.eps}
        if not self.is_traced:
            for scheduler in self.schedulers:
                scheduler.update_last_value()
                for group, rate in zip(
                    self.optimizer.param_groups, scheduler.get_last_lr(), strict=True
                ):
                    group["lr"] = rate

    def load_state_dict(self, state: Mapping[str, Any], source: Path) -> None:
        """Take over what :meth:`state_dict` gave, where the params ask for it.

        Raises:
            CheckpointError: weights or optimizer state do not fit; the message names ``source``.
        """
        checkpoint.load_model_state(self.model, state["model"], source)
        with checkpoint.optimizer_fits(source):
            if self.optimizer is not None and "optimizer" in state:
                self.optimizer.load_state_dict(checkpoint.materialise(state["optimizer"]))
            for scheduler, saved in zip(self.schedulers, state.get("schedulers", []), strict=False):
                scheduler.load_state_dict(checkpoint.materialise(_position_of(saved)))
            self._apply_settings()
            if self.sparsity is not None and "sparsity" in state:
                self.sparsity.load_state_dict(checkpoint.materialise(state["sparsity"]))
            if self.precision.scaler is not None and "grad_scaler" in state:
                self.precision.scaler.load_state_dict(state["grad_scaler"])


def _position_of(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Where a saved schedule stood, without its settings, which are the params'."""
    position = {key: scheduler[key] for key in ("last_epoch", "_last_value") if key in scheduler}
    if "_scheduler" in scheduler:
        position["_scheduler"] = _position_of(scheduler["_scheduler"])
    if "_schedulers" in scheduler:
        position["_schedulers"] = [_position_of(part) for part in scheduler["_schedulers"]]
    return position
