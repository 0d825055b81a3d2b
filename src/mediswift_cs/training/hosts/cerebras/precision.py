"""Number formats, loss scaling and gradient clipping."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import cerebras.pytorch as cstorch
import torch
from torch import Tensor

from mediswift_cs.params.schema import PrecisionParams
from mediswift_cs.training.hosts.cerebras.backend import after_step


class Precision:
    """What ModelZoo's precision block asks for, on any backend.

    cbfloat16 exists on CSX only: elsewhere bfloat16 stands in for it, without loss scaling,
    which bfloat16's range makes superfluous.
    """

    def __init__(self, params: PrecisionParams) -> None:
        self.params = params
        self.backend = cstorch.backend()
        self.scaler: Any = None
        self._loss_scale: float | None = None
        self._is_exhausted = False
        self.gradient_norm: float | None = None
        if self.backend.is_csx:
            self._configure_csx()
        else:
            # autocast on a CPU knows no other.
            cstorch.amp.set_half_dtype(torch.bfloat16)

    def _configure_csx(self) -> None:
        params = self.params
        if params.precision_opt_level is not None:
            cstorch.backends.csx.precision.optimization_level = params.precision_opt_level
        cstorch.amp.enable_mixed_precision()
        cstorch.amp.set_half_dtype(params.fp16_type)

    def create_scaler(self) -> None:
        """Set up loss scaling, where the number format needs it.

        Called after the optimizer is made: a scaler knows only the optimizers that exist already.
        """
        params = self.params
        if self.backend.is_csx and params.fp16_type != "bfloat16":
            self.scaler = cstorch.amp.GradScaler(
                loss_scale=params.loss_scaling_factor,
                init_scale=params.initial_loss_scale,
                steps_per_increase=params.steps_per_increase,
                min_loss_scale=params.min_loss_scale,
                max_loss_scale=params.max_loss_scale,
            )

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which the forward pass runs."""
        if not self.params.enabled or self.backend.is_csx:
            return nullcontext()
        context: AbstractContextManager[Any] = cstorch.amp.autocast()
        return context

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of ``loss``."""
        (self.scaler.scale(loss) if self.scaler is not None else loss).backward()

    def optimizer_step(self, optimizer: cstorch.optim.Optimizer) -> None:
        """Unscale and clip the gradients, and update the weights."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)
        self.clip_gradients(optimizer)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    @property
    def logged_loss_scale(self) -> float | None:
        """The dynamic loss scale of the last reported step, where there is one to be logged."""
        return self._loss_scale if self.params.log_loss_scale else None

    @property
    def failure(self) -> str | None:
        """What a smaller loss scale can no longer save, as the start of a sentence, or None."""
        if not self._is_exhausted:
            return None
        return f"gradients are still not finite at the smallest loss scale, {self._loss_scale:g},"

    def watch_loss_scale(self) -> None:
        """Follow the dynamic loss scale; gradients that overflow are normal while it can fall."""
        if self.scaler is not None and self.params.loss_scaling_factor == "dynamic":
            # The names of the arguments are those of the graph's outputs: no method, whose first
            # argument is another.
            @after_step
            def report(loss_scale: Tensor, non_clamped_scale: Tensor) -> None:
                self.note_loss_scale(loss_scale, non_clamped_scale)

            report(self.scaler.get_scale(), self.scaler.get_non_clamped_scale())

    def note_loss_scale(self, loss_scale: Tensor, non_clamped_scale: Tensor) -> None:
        """Take in the scale after a step: the one in use, and the one that would be needed."""
        self._loss_scale = float(loss_scale)
        self._is_exhausted = float(non_clamped_scale) < self._loss_scale

    def clip_gradients(self, optimizer: cstorch.optim.Optimizer) -> None:
        """By the norm of all gradients together, or by value."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if self.params.max_gradient_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.params.max_gradient_norm)
            if not self.backend.is_csx:
                self.gradient_norm = float(norm)
        elif self.params.max_gradient_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, self.params.max_gradient_value)
