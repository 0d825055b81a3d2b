"""Everything that one run holds in plain PyTorch: model, optimizer, masks, steps."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mediswift_cs.data.processors import make_processor
from mediswift_cs.data.restartable import RestartableDataLoader
from mediswift_cs.errors import ConfigError
from mediswift_cs.machines import GPU_PEAKS
from mediswift_cs.model.decoder import TransformerDecoder
from mediswift_cs.model.finetuning import build_model
from mediswift_cs.model.loss import mean_loss_per_token
from mediswift_cs.params.schema import DataLoaderParams, Params, PrecisionParams
from mediswift_cs.params.sparsity_rules import check_method
from mediswift_cs.params.training_cost import sparse_weights
from mediswift_cs.training import checkpoint, mdl_state, ranks
from mediswift_cs.training.hosts.host import Batch, Update, batch_weights, num_counted
from mediswift_cs.training.hosts.scores import Scores
from mediswift_cs.training.hosts.torch.draws import OwnGenerators
from mediswift_cs.training.hosts.torch.optimizer import AdamW
from mediswift_cs.training.masks import (
    add_masks,
    draw_mask,
    fold_masks,
    mask_gradients,
    masked_weights,
)
from mediswift_cs.training.schedule import learning_rate, schedule_state


def start_device(device: str, dist_backend: str, init_method: str | None) -> torch.device:
    """The device of this process; joins the others that torchrun started."""
    name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "GPU" else "cpu"
    if ranks.num_ranks() > 1 and not distributed.is_initialized():
        backend = dist_backend if device == "GPU" else "gloo"
        distributed.init_process_group(backend, init_method=init_method)
    found = torch.device(name)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    return found


class TorchSession:
    """The host ``torch``; see :class:`mediswift_cs.training.hosts.host.Host`.

    The order of construction is ModelZoo's (seed, model, masks), and all of it happens on the CPU,
    so that the same seed gives the same weights and masks on every device and host.
    """

    is_traced = False
    failure: str | None = None
    loss_scale: float | None = None
    gradient_norm: float | None = None

    def __init__(self, params: Params, device: str, *, for_training: bool) -> None:
        init = params.trainer.init
        if for_training:
            check_method(init, "torch")
        self.params, self.model_params = params, init.model
        self.device = start_device(device, init.backend.dist_backend, init.backend.init_method)
        self.precision: PrecisionParams = init.precision
        self.num_accumulated = init.loop.grad_accum_steps
        self.peak_flops = peak_flops(self.device)
        if init.seed is not None:
            torch.manual_seed(init.seed)
        self.metrics = Scores()
        with OwnGenerators():  # type: ignore[no-untyped-call]
            self.model = build_model(init.model, self.metrics)
        self._are_masks_drawn = False
        add_masks(self.model, sparse_weights(params))
        self.model.register_load_state_dict_post_hook(self._note_masks)  # type: ignore[no-untyped-call]
        self.model.to(self.device)
        # The buffers stay the same ones; what is in them is drawn or loaded.
        self._masked = list(masked_weights(self.model))
        self.optimizer: AdamW | None = None
        self.num_scheduled = 0
        self._is_saved_next = False
        self._forward: Callable[[Batch], Tensor] = self.model
        if for_training:
            assert init.optimizer is not None
            self.optimizer = AdamW(self.model, init.optimizer.AdamW)
            self._forward = self._wrapped()
        else:
            self.model.eval()

    def _wrapped(self) -> Callable[[Batch], Tensor]:
        settings = self.params.trainer.init.torch
        for module in self.model.modules():
            if isinstance(module, TransformerDecoder):
                module.recompute = settings.activation_checkpointing
        torch.backends.cuda.matmul.allow_tf32 = settings.tf32
        model: Any = self.model
        if settings.compile:
            model = torch.compile(model)
        if ranks.num_ranks() > 1:
            model = DistributedDataParallel(
                model, broadcast_buffers=False, gradient_as_bucket_view=True
            )
        wrapped: Callable[[Batch], Tensor] = model
        return wrapped

    # Masks

    def draw_masks(self) -> None:
        """Draw the masks that no checkpoint brought, and write their zeros into the weights."""
        sparsity = self.params.trainer.init.sparsity
        if sparsity is None:
            return
        if not self._are_masks_drawn:
            with OwnGenerators():  # type: ignore[no-untyped-call]
                for _, weight, mask in self._masked:
                    mask.copy_(draw_mask(weight, sparsity))
            self._are_masks_drawn = True
        fold_masks(self.model)

    def _note_masks(self, _model: nn.Module, _keys: Any) -> None:
        # Loading is strict, so masks came with the weights.
        self._are_masks_drawn = True

    # Data

    def make_dataloader(self, params: DataLoaderParams) -> RestartableDataLoader:
        """A loader that begins at the first sample."""
        return make_processor(params).create_local_dataloader()

    def updates(
        self, dataloader: RestartableDataLoader, num_updates: int, saved_after: Sequence[int]
    ) -> Iterator[list[Batch]]:
        """The batches of each of the next updates."""
        stream = _endless(dataloader)
        for number in range(num_updates):
            self._is_saved_next = number in saved_after
            yield [next(stream) for _ in range(self.num_accumulated)]

    def batches(self, dataloader: RestartableDataLoader, num_batches: int) -> Iterator[Batch]:
        """The next batches of an evaluation."""
        stream = _endless(dataloader)
        return (next(stream) for _ in range(num_batches))

    def after_step(self, function: Callable[..., None]) -> Callable[..., None]:
        """The function itself: nothing is delayed here."""
        return function

    def when_saved(self, function: Callable[[], None]) -> Callable[[], None]:
        """The function on the rank that writes, where a checkpoint is due; else nothing."""

        def call() -> None:
            if self._is_saved_next and ranks.is_main():
                function()

        return call

    # Steps

    @property
    def learning_rate(self) -> float:
        """Of the next update; the last of several schedulers sets it."""
        init = self.params.trainer.init
        if init.schedulers:
            return learning_rate(init.schedulers[-1], self.num_scheduled)
        assert init.optimizer is not None
        return init.optimizer.AdamW.learning_rate or 0.0

    def update(self, batches: list[Batch]) -> Update:
        """Forward and backward of each batch, then one step of the optimizer."""
        assert self.optimizer is not None
        weights = self._weights(batches)
        loss = torch.zeros((), device=self.device)
        for index, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            with self._without_exchange(index + 1 < len(batches)):
                with self._autocast(), self._compile_errors():
                    weighted = self._forward(self._moved(batch)) * weight
                weighted.backward()  # type: ignore[no-untyped-call]
            loss += weighted.detach()
        mask_gradients(self._masked)
        self._clip_gradients()
        rate = self.learning_rate
        self.optimizer.update(rate)
        self.optimizer.zero_grad()
        self.num_scheduled += 1
        return Update(loss=ranks.mean(loss), learning_rate=rate)

    def _weights(self, batches: list[Batch]) -> list[float]:
        """What each batch counts in the update.

        Over all ranks they add up to the number of ranks, because gradients are averaged over them.
        """
        weighs_tokens = self.params.trainer.init.weighs_tokens
        if ranks.num_ranks() == 1 or not weighs_tokens:
            return batch_weights(batches, weighs_tokens)
        total = ranks.total(sum(num_counted(batches)), self.device)
        return batch_weights(batches, weighs_tokens, total / ranks.num_ranks())

    def _moved(self, batch: Batch) -> Batch:
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self.precision.enabled
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    @contextmanager
    def _compile_errors(self) -> Iterator[None]:
        """What torch.compile needs and does not find here is one sentence."""
        if not self.params.trainer.init.torch.compile:
            yield
            return
        from torch._dynamo.exc import TorchDynamoException

        try:
            yield
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"trainer.init.torch.compile: got true, allowed: false on this machine ({reason})"
            ) from error

    def _without_exchange(self, is_active: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last batch stay on their rank."""
        if is_active and isinstance(self._forward, DistributedDataParallel):
            context: AbstractContextManager[Any] = self._forward.no_sync()
            return context
        return nullcontext()

    def _clip_gradients(self) -> None:
        parameters = list(self.model.parameters())
        if (norm := self.precision.max_gradient_norm) is not None:
            self.gradient_norm = float(nn.utils.clip_grad_norm_(parameters, norm))
        elif (value := self.precision.max_gradient_value) is not None:
            nn.utils.clip_grad_value_(parameters, value)

    @torch.no_grad()
    def evaluation_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss of one batch per token and the number of its tokens, both scalars."""
        batch = self._moved(batch)
        with self._autocast():
            loss = self.model(batch)
        config, loss_mask = self.model_params, batch["attention_mask"]
        mean = mean_loss_per_token(loss, loss_mask, config.loss_scaling, config.loss_weight)
        return mean, loss_mask.sum()

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; every rank has to ask at the same step."""
        return ranks.total(float(flag), self.device) > 0

    def state_dict(self) -> dict[str, Any]:
        """The state under ModelZoo's top-level keys, without step and data position."""
        state: dict[str, Any] = {"model": self.model.state_dict()}
        if self.optimizer is not None:
            state["optimizer"] = self.optimizer.to_state(self.learning_rate)
            scales = [group.get("adjust_learning_rate") for group in self.optimizer.param_groups]
            state["schedulers"] = [
                schedule_state(entry, self.num_scheduled, self.learning_rate, scales)
                for entry in self.params.trainer.init.schedulers
            ]
        if self.params.trainer.init.sparsity is not None:
            state["sparsity"] = [{}]
        return state

    def load_state_dict(self, state: Mapping[str, Any], source: Path) -> None:
        """Take over what :meth:`state_dict` gave; CheckpointError where it does not fit."""
        checkpoint.load_model_state(self.model, state["model"], source)
        with checkpoint.optimizer_fits(source):
            if self.optimizer is not None and "optimizer" in state:
                self.optimizer.from_state(state["optimizer"])
            if schedulers := state.get("schedulers"):
                self.num_scheduled = int(schedulers[-1]["last_epoch"])

    write = staticmethod(mdl_state.write)
    read = staticmethod(mdl_state.read)


def _endless(dataloader: RestartableDataLoader) -> Iterator[Batch]:
    while True:
        yield from dataloader


def peak_flops(device: torch.device) -> float | None:
    """Operations a second of all GPUs of the run at their peak; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peaks = (peak for known, peak in GPU_PEAKS.items() if known in name)
    peak = next(peaks, None)
    return None if peak is None else peak * ranks.num_ranks()
