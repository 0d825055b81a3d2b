"""One run in several processes, one a GPU, as torchrun starts them.

cerebras-pytorch 2.10 makes all ranks start from the same weights and runs step closures on rank 0
only. But it gives each rank the same batches, and its compiled model goes past the
DistributedDataParallel that it sets up, so that gradients stay apart. Both are seen to here.
"""

import os
from collections.abc import Iterable

import torch
from torch import distributed

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams


def started_by_torchrun() -> bool:
    """Whether torchrun's environment variables are there; cerebras-pytorch asks for the same."""
    return "LOCAL_RANK" in os.environ


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def num_ranks() -> int:
    """How many processes share the run."""
    return int(os.environ["WORLD_SIZE"]) if started_by_torchrun() else 1


def is_main() -> bool:
    """Whether this process writes the files of the run."""
    return rank() == 0


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any rank; every rank has to ask at the same step."""
    if not distributed.is_initialized():
        return flag
    number = torch.tensor(int(flag), device=device)
    distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
    return bool(number)


def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Replace each gradient by its mean over the ranks."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    works = [distributed.all_reduce(gradient, async_op=True) for gradient in gradients]
    for work in works:
        assert work is not None
        work.wait()
    torch._foreach_div_(gradients, num_ranks())


def check_ranks(device: str, params: BackendParams) -> None:
    """Raise ConfigError where the params and the way the process was started do not agree."""
    path = "trainer.init.backend.enable_distributed"
    wants = device == "GPU" and params.enable_distributed
    if wants and not started_by_torchrun():
        raise ConfigError(
            f"{path} is true but torchrun did not start this process: use "
            f"torchrun --nproc_per_node=NUMBER_OF_GPUS run.py GPU ..."
        )
    if started_by_torchrun() and num_ranks() > 1 and not wants:
        raise ConfigError(
            f"torchrun started {num_ranks()} processes, allowed: one, or the device GPU with "
            f"--set {path}=true"
        )
    if wants and params.main_process_id != 0:
        raise ConfigError(
            f"trainer.init.backend.main_process_id: got {params.main_process_id}, allowed: 0"
        )


def share_of_batch(batch_size: int) -> tuple[int, int]:
    """The first and the last row, the latter not included, of this rank in each batch.

    Raises:
        ConfigError: the batch cannot be cut into equal shares.
    """
    if batch_size % num_ranks():
        raise ConfigError(
            f"trainer.fit.train_dataloader.batch_size: got {batch_size}, allowed: a multiple of "
            f"{num_ranks()}, the number of GPUs"
        )
    share = batch_size // num_ranks()
    return rank() * share, (rank() + 1) * share
