"""``trainer.init.backend``: the machine of a run.

Names and defaults are those of cerebras.pytorch's backends and of cerebras.appliance 2.10.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mediswift_cs.params.section import Count, Flag, PositiveCount, Section

BackendType = Literal["CSX", "CPU", "GPU"]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Device = Annotated[BackendType, BeforeValidator(_upper)]


class ClusterConfigParams(Section):
    """The wafer-scale cluster (cerebras.appliance.cluster_config.ClusterConfig)."""

    mgmt_address: str | None = Field(default=None, pattern=".+:[0-9]+")
    """HOST:PORT of the cluster's management node; None: that of the cluster file."""
    mgmt_namespace: str | None = None
    """Namespace of the cluster's management software, where it runs several versions."""
    credentials_path: str | None = None
    """File with the certificate for the connection to the cluster."""
    num_csx: PositiveCount = 1
    """Number of CS systems that the run takes."""
    max_wgt_servers: Count = 0
    """At most so many servers that hold weights; 0: as the cluster chooses."""
    max_act_per_csx: Count = 0
    """At most so many servers of activations for each system; 0: as the cluster chooses."""
    num_workers_per_csx: Count = 1
    """Processes for each system that read the data."""
    cbcore_image: str | None = None
    """Container image of the cluster's software; None: its default."""
    job_labels: list[str] | None = None
    """``name=value`` pairs by which the job is found on the cluster."""
    job_priority: str = "p2"
    """Place in the cluster's queue: p1 (first), p2 or p3."""
    job_time_sec: PositiveCount | None = None
    """Seconds after which the cluster ends the job, its time in the queue not counted."""
    mount_dirs: list[Any] | None = None
    """Folders that the cluster's containers must see, such as those of the data."""
    python_paths: list[str] | None = None
    """Folders that the cluster's workers put on their PYTHONPATH."""
    automount: Flag = True
    """Whether folders that the workers need are mounted without being listed."""
    mount_all: Flag = True
    """Whether all volumes of the cluster are mounted; used with automount only."""
    disable_mount_check: Flag = True
    """Whether mount_dirs are taken without a look at what the cluster has."""
    disable_version_check: Flag = False
    """Whether client and cluster may have different releases."""
    workflow_id: str | None = None
    """Name of a workflow of several jobs, for which the cluster keeps its systems reserved."""
    notifications: list[dict[str, Any]] | None = None
    """Whom the cluster tells of its events, one mapping for each."""


class BackendParams(Section):
    """Where the run happens. Keys of another backend than backend_type's are not used."""

    backend_type: Device | None = None
    """CSX (a CS-2 or CS-3 system), CPU or GPU; None: device, or the command line."""
    artifact_dir: str | None = None
    """Folder for the backend's own logs and traces in ModelZoo; here they lie in model_dir."""
    # CSX
    compile_dir: str | None = None
    """Folder on the cluster for compiled models, which later runs use again."""
    compile_only: Flag = False
    """Whether the cluster only compiles the model; needs a cluster."""
    validate_only: Flag = False
    """Whether the model is only checked by the compiler's front end; needs no cluster here."""
    cluster_config: ClusterConfigParams | None = None
    """Which cluster, and how much of it."""
    # GPU
    enable_distributed: Flag = False
    """Whether the run is shared by the processes that torchrun started."""
    main_process_id: Count = 0
    """Rank of the process that collects and logs; 0 here."""
    dist_backend: str = "nccl"
    """What GPUs exchange gradients with in torch.distributed; CPUs take gloo."""
    init_method: str | None = None
    """URL at which the processes find one another; None: what torchrun says."""
    sync_batchnorm: Flag = False
    """Whether batch norms are synchronised; this decoder has none."""
