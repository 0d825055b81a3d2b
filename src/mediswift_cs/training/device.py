"""Which backend a run gets, and the settings that only it has."""

import os
from pathlib import Path

import cerebras.pytorch as cstorch
import torch
from cerebras.appliance.cluster_config import ClusterConfig

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams
from mediswift_cs.training.cluster import require_cluster
from mediswift_cs.training.ranks import check_ranks


def check_device(device: str, params: BackendParams) -> None:
    """Raise ConfigError where this machine cannot run on the device; nothing is written before."""
    check_ranks(device, params)
    if device == "CSX":
        require_cluster(params)
    if device == "GPU" and not torch.cuda.is_available():
        raise ConfigError(
            "the device is GPU but torch finds no CUDA device here: run on the CPU with "
            "`run.py CPU`, or check that `nvidia-smi` lists a GPU and its driver supports CUDA "
            f"{torch.version.cuda}"
        )


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
    if device == "GPU":
        return cstorch.backend(
            "GPU",
            artifact_dir=str(artifact_dir),
            enable_distributed=params.enable_distributed,
            main_process_id=params.main_process_id,
            dist_backend=params.dist_backend,
            init_method=params.init_method,
            sync_batchnorm=params.sync_batchnorm,
        )
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
