"""One run in several processes, one a GPU or a share of the cores, as torchrun starts them."""

import os

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


def total(number: float, device: torch.device) -> float:
    """The sum of a number over the ranks; every rank has to ask at the same step."""
    if not distributed.is_initialized():
        return number
    value = torch.tensor(number, dtype=torch.float64, device=device)
    distributed.all_reduce(value)
    return float(value)


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the ranks."""
    if distributed.is_initialized():
        distributed.all_reduce(value)
        value /= num_ranks()
    return value


def check_ranks(device: str, engine: str, params: BackendParams) -> None:
    """Raise ConfigError where the params and the way the process was started do not agree."""
    path = "trainer.init.backend.enable_distributed"
    if device == "GPU" and params.enable_distributed and not started_by_torchrun():
        raise ConfigError(
            f"{path} is true but torchrun did not start this process: use "
            f"torchrun --nproc_per_node=NUMBER_OF_GPUS run.py GPU ..."
        )
    if num_ranks() > 1 and engine != "torch":
        raise ConfigError(
            f"torchrun started {num_ranks()} processes for the engine {engine}, allowed: one, or "
            f"--engine torch"
        )
    if num_ranks() > 1 and params.main_process_id != 0:
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
            f"{num_ranks()}, the number of processes"
        )
    share = batch_size // num_ranks()
    return rank() * share, (rank() + 1) * share
