"""Random numbers as cerebras-pytorch 2.10 draws them, for the same weights and masks.

There each drawing has a generator of its own, whose seed is taken from torch's global generator
(cerebras.pytorch.core.device.GeneratorContext).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What initializing a model and drawing a mask calls.
_DRAWINGS = frozenset(
    {
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        Tensor.normal_,
        Tensor.uniform_,
    }
)


class OwnGenerators(TorchFunctionMode):
    """While it is entered, each drawing on the CPU has a generator of its own."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry out one function of torch."""
        named = dict(kwargs or {})
        if func is torch.rand_like:
            empty = torch.empty_like(*args, **named)
            return empty.uniform_(0.0, 1.0, generator=_new_generator())
        if func in _DRAWINGS and named.get("generator") is None:
            named["generator"] = _new_generator()
        return func(*args, **named)


def _new_generator() -> torch.Generator:
    generator = torch.Generator()
    return generator.manual_seed(int(torch.randint(sys.maxsize, (1,))))
