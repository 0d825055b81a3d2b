"""Which backend a run gets, and the settings that only it has."""

import os
from pathlib import Path

import cerebras.pytorch as cstorch
import torch
from cerebras.appliance.cluster_config import ClusterConfig

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams

DEFAULT_CLUSTER_FILE = Path("/opt/cerebras/config_v2")


def cluster_is_configured(params: BackendParams) -> bool:
    """Whether the params or this machine name a Wafer-Scale Cluster."""
    if params.cluster_config is not None and params.cluster_config.mgmt_address is not None:
        return True
    return Path(os.environ.get("CSCONFIG_PATH") or DEFAULT_CLUSTER_FILE).exists()


def require_cluster(params: BackendParams) -> None:
    """Raise ConfigError, with the ways on, where there is no cluster to run on."""
    if not cluster_is_configured(params):
        raise ConfigError(
            "the device is CSX but no Wafer-Scale Cluster is configured: run on this machine with "
            "`run.py CPU` or `run.py GPU`, check that the model compiles with --validate_only, or "
            "configure a cluster (--mgmt_address HOST:PORT, or a cluster file at "
            f"{DEFAULT_CLUSTER_FILE} or $CSCONFIG_PATH)"
        )


def check_device(device: str, params: BackendParams) -> None:
    """Raise ConfigError where this machine cannot run on the device; nothing is written before."""
    if device == "CSX":
        require_cluster(params)
    if device == "GPU" and not torch.cuda.is_available():
        raise ConfigError(
            "the device is GPU but torch finds no CUDA device here: run on the CPU with "
            "`run.py CPU`, or check that `nvidia-smi` lists a GPU and its driver supports CUDA "
            f"{torch.version.cuda}"
        )


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
