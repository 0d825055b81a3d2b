"""Whether this machine can run on a device; what needs no torch is said without it."""

import os
from pathlib import Path

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.schema import BackendParams

DEFAULT_CLUSTER_FILE = Path("/opt/cerebras/config_v2")


def cluster_is_configured(params: BackendParams) -> bool:
    """Whether the params or this machine name a Wafer-Scale Cluster."""
    if params.cluster_config is not None and params.cluster_config.mgmt_address is not None:
        return True
    return Path(os.environ.get("CSCONFIG_PATH") or DEFAULT_CLUSTER_FILE).exists()


def require_cluster(params: BackendParams) -> None:
    """See that there is a cluster to run on; the error tells the ways on.

    Raises:
        ConfigError: neither the params nor this machine name one.
    """
    if not cluster_is_configured(params):
        raise ConfigError(
            "the device is CSX but no Wafer-Scale Cluster is configured: run on this machine with "
            "`run.py CPU` or `run.py GPU`, check that the model compiles with --validate_only, or "
            "configure a cluster (--mgmt_address HOST:PORT, or a cluster file at "
            f"{DEFAULT_CLUSTER_FILE} or $CSCONFIG_PATH)"
        )


def check_device(device: str, engine: str, params: BackendParams) -> None:
    """See that this machine can run on the device, before anything is written.

    Raises:
        ConfigError: it cannot, or the process was started otherwise than the params ask for.
    """
    import torch

    from mediswift_cs.training.ranks import check_ranks

    check_ranks(device, engine, params)
    if device == "CSX":
        require_cluster(params)
    if device == "GPU" and not torch.cuda.is_available():
        raise ConfigError(
            "the device is GPU but torch finds no CUDA device here: run on the CPU with "
            "`run.py CPU`, or check that `nvidia-smi` lists a GPU and its driver supports CUDA "
            f"{torch.version.cuda}"
        )
