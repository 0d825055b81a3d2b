"""run.py with the GPU backend of cerebras-pytorch on CPUs, its processes joined by gloo.

What is replaced is what needs CUDA: the device, DistributedDataParallel's device numbers, and
autocast, so that results can be compared in float32.
"""

import contextlib
import importlib
import os
import sys
from typing import Any

import torch
from cerebras.pytorch.core.device import GPUDevice
from torch import distributed, nn

from mediswift_cs import run
from mediswift_cs.training import ranks

DistributedDataParallel = nn.parallel.DistributedDataParallel


def make_device(
    self: Any, enable_distributed: bool, dist_backend: str, init_method: str | None
) -> None:
    if enable_distributed:
        assert dist_backend == "gloo"
        distributed.init_process_group(dist_backend, init_method=init_method)
    self.torch_device = torch.device("cpu")
    self._stack_size = 0


def without_device_numbers(model: nn.Module, device_ids: list[int], output_device: int) -> Any:
    assert device_ids == [output_device] == [int(os.environ["LOCAL_RANK"])]
    return DistributedDataParallel(model)


def main() -> int:
    torch.cuda.is_available = lambda: True
    GPUDevice.__init__ = make_device
    nn.parallel.DistributedDataParallel = without_device_numbers  # type: ignore[misc,assignment]
    # The package has a function of the name of the folder that the module is in.
    gpu_backend: Any = importlib.import_module("cerebras.pytorch.backend.gpu_backend")
    gpu_backend.autocast = contextlib.nullcontext
    if os.environ.get("FAKE_GPU_WITHOUT") == "average_gradients":
        ranks.average_gradients = lambda parameters: None
    return run.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
