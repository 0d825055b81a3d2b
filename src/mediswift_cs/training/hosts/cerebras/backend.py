"""cerebras-pytorch's backend: the device of a run, its batches, and when Python sees a step."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import cerebras.pytorch as cstorch
from cerebras.appliance.cluster_config import ClusterConfig

from mediswift_cs.data.processors import create_dataloader
from mediswift_cs.params.schema import BackendParams, DataLoaderParams

Arguments = ParamSpec("Arguments")


def put_native_compiler_first() -> None:
    """Let the CSX backend find its own torch-cirh-opt on PATH.

    The script of that name in an environment's bin folder drops the exit status, with which a
    failed lowering looks like a success; and without an active environment there is none.
    """
    library = str(Path(cstorch.__file__).parent / "lib")
    os.environ["PATH"] = os.pathsep.join([library, os.environ.get("PATH", "")])


def create_backend(device: str, params: BackendParams, artifact_dir: Path) -> cstorch.backend:
    """The one backend of this process, for a device that check_device has let through."""
    if device == "CPU":
        return cstorch.backend("CPU", artifact_dir=str(artifact_dir))
    assert device == "CSX"
    put_native_compiler_first()
    cluster = {} if params.cluster_config is None else params.cluster_config.model_dump()
    given = {key: value for key, value in cluster.items() if value is not None}
    return cstorch.backend(
        "CSX",
        artifact_dir=str(artifact_dir),
        compile_dir=params.compile_dir,
        compile_only=params.compile_only,
        validate_only=params.validate_only,
        cluster_config=ClusterConfig(**given),
    )


def make_dataloader(params: DataLoaderParams) -> cstorch.utils.data.DataLoader:
    """A data loader that the workers of a cluster can build from plain data."""
    return cstorch.utils.data.DataLoader(create_dataloader, params.model_dump())


def batches(
    dataloader: cstorch.utils.data.DataLoader,
    num_batches: int,
    saved_after: Sequence[int] | None = None,
) -> cstorch.utils.data.DataExecutor:
    """Iterates over the next batches, each for one step, traced or carried out.

    ``saved_after``: the batches, counted from 0, after which :func:`when_saved` functions run.
    """
    if saved_after is None:
        return cstorch.utils.data.DataExecutor(dataloader, num_steps=num_batches)
    ranges = [
        cstorch.utils.data.Schedule.Range(start=index, end=index + 1, step=1, include_last=False)
        for index in saved_after
    ]
    return cstorch.utils.data.DataExecutor(
        dataloader, num_steps=num_batches, checkpoint_steps=cstorch.utils.data.Schedule(ranges)
    )


def after_step(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A decorator: calls run at the end of the step, on the values of their tensors."""
    delayed: Callable[Arguments, None] = cstorch.step_closure(function)
    return delayed


def when_saved(function: Callable[[], None]) -> Callable[[], None]:
    """A decorator: calls run at the end of the steps after which a checkpoint is due."""
    delayed: Callable[[], None] = cstorch.checkpoint_closure(function)
    return delayed
