"""The shape of a params file: ModelZoo 2.10's trainer schema with the model ``mediswift``.

Attribute names are the YAML keys, so ``params.trainer.init.loop.max_steps`` is what it says;
``validate`` alone is ``validate_``, because pydantic keeps the name. A key that is left out has
ModelZoo's own default. What holds between keys is in :mod:`mediswift_cs.params.rules`.
"""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator, ConfigDict, Field

from mediswift_cs.params.callbacks import CallbackParams, LoggerParams
from mediswift_cs.params.dataloader import MAX_BATCH, DataLoaderParams
from mediswift_cs.params.decoder import InitializerParams, ModelParams
from mediswift_cs.params.optimizer import OptimizerParams, SchedulerParams
from mediswift_cs.params.section import (
    Count,
    Flag,
    PathText,
    PositiveCount,
    PositiveReal,
    Rate,
    Real,
    Section,
    as_list,
)
from mediswift_cs.params.sparsity import SparsityParams

__all__ = ["DataLoaderParams", "InitializerParams", "ModelParams", "OptimizerParams"]

BackendType = Literal["CSX", "CPU", "GPU"]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


DataLoaderList = Annotated[list[DataLoaderParams], BeforeValidator(as_list)]
Device = Annotated[BackendType, BeforeValidator(_upper)]


class ClusterConfigParams(Section):
    """The wafer-scale cluster (cerebras.appliance.cluster_config.ClusterConfig)."""

    mgmt_address: str | None = Field(default=None, pattern=".+:[0-9]+")
    mgmt_namespace: str | None = None
    credentials_path: str | None = None
    num_csx: PositiveCount = 1
    max_wgt_servers: Count = 0
    max_act_per_csx: Count = 0
    num_workers_per_csx: Count = 1
    cbcore_image: str | None = None
    job_labels: list[str] | None = None
    job_priority: str = "p2"
    job_time_sec: PositiveCount | None = None
    mount_dirs: list[Any] | None = None
    python_paths: list[str] | None = None
    automount: Flag = True
    mount_all: Flag = True
    disable_mount_check: Flag = True
    disable_version_check: Flag = False
    workflow_id: str | None = None
    notifications: list[dict[str, Any]] | None = None


class BackendParams(Section):
    """Where the run happens. Keys of another backend than backend_type's are not used."""

    backend_type: Device | None = None
    artifact_dir: str | None = None
    # CSX
    compile_dir: str | None = None
    compile_only: Flag = False
    validate_only: Flag = False
    cluster_config: ClusterConfigParams | None = None
    # GPU
    enable_distributed: Flag = False
    main_process_id: Count = 0
    dist_backend: str = "nccl"
    init_method: str | None = None
    sync_batchnorm: Flag = False


class PrecisionParams(Section):
    """Number formats, loss scaling and clipping (callbacks/precision.py, MixedPrecision)."""

    enabled: Flag = True
    fp16_type: Literal["float16", "bfloat16", "cbfloat16"] = "bfloat16"
    precision_opt_level: Literal[0, 1, 2] | None = None
    loss_scaling_factor: Literal["dynamic"] | PositiveReal = 1.0
    initial_loss_scale: PositiveReal | None = None
    steps_per_increase: PositiveCount = 2000
    min_loss_scale: Annotated[Real, Ge(2.0**-14)] | None = None
    """2^-14, the smallest normal number of float16, when left out."""
    max_loss_scale: PositiveReal | None = None
    max_gradient_norm: PositiveReal | None = None
    max_gradient_value: PositiveReal | None = None
    log_loss_scale: Flag | None = None
    """None logs it where loss_scaling_factor is dynamic."""


class LoopParams(Section):
    """How long to train and when to evaluate (callbacks/loop.py, TrainingLoop)."""

    num_steps: PositiveCount | None = None
    """Steps of this run; goes before max_steps."""
    max_steps: PositiveCount | None = None
    """Steps in all, those of a loaded checkpoint included."""
    num_epochs: PositiveCount | None = None
    steps_per_epoch: PositiveCount | None = None
    eval_frequency: Count | Rate | None = 1.0
    """Steps between evaluations, or a fraction of the run; None or 0: no evaluation."""
    eval_steps: PositiveCount | None = None
    """Batches of an evaluation; None: the whole validation set."""
    grad_accum_steps: Annotated[PositiveCount, Le(MAX_BATCH)] = 1
    """CPU and GPU only; on CSX the compiler chooses the micro batch."""


class CheckpointParams(Section):
    """When and where checkpoints are written (callbacks/checkpoint.py, Checkpoint)."""

    steps: Count | None = None
    """None or 0: none are written."""
    autoload_last_checkpoint: Flag = True
    disable_strict_checkpoint_loading: Flag = False
    save_initial_checkpoint: Flag = False
    checkpoint_root: str | None = None
    """None: model_dir."""
    checkpoint_name: str = Field(default="checkpoint_{step}.mdl", pattern=r"\{step\}")
    strict_version: Flag = True


class LoggingParams(Section):
    """How often the loss is printed (callbacks/logging.py, Logging)."""

    log_steps: PositiveCount
    log_level: str = "INFO"
    wsc_log_level: dict[str, Any] | None = None
    enable_act_frequency: Flag = False


class TorchParams(Section):
    """``trainer.init.torch``: settings of the package's own loop that ModelZoo does not know."""

    compile: Flag = False
    """Compile the model with torch.compile before the first step."""
    activation_checkpointing: Flag = False
    """Keep one activation a layer and compute the others again in the backward pass."""
    tf32: Flag = False
    """GPU: multiply float32 matrices in TensorFloat-32."""
    mean_over: Literal["tokens", "batches"] = "tokens"
    """What weighs the same in an update over several batches; batches: as in ModelZoo."""


class AutoRestartParams(Section):
    """Restarts after a failure (callbacks/autorestart.py, AutoRestart)."""

    max_num_restarts: Count | None = None
    min_num_csx: PositiveCount = 1


class InitParams(Section):
    """``trainer.init``: the model and everything that is set up once."""

    model: ModelParams
    device: Device | None = None
    """Goes in the place of backend.backend_type where that is left out."""
    backend: BackendParams = BackendParams()
    model_dir: str = "./model_dir"
    optimizer: OptimizerParams | None = None
    """None: evaluation only."""
    schedulers: list[SchedulerParams] = Field(default_factory=list)
    precision: PrecisionParams = PrecisionParams(enabled=False)
    """Left out: float32 without clipping."""
    sparsity: SparsityParams | None = None
    """None: dense."""
    loop: LoopParams = LoopParams(num_epochs=1)
    checkpoint: CheckpointParams = CheckpointParams()
    logging: LoggingParams = LoggingParams(log_steps=1)
    callbacks: list[CallbackParams] = Field(default_factory=list)
    loggers: list[LoggerParams] = Field(default_factory=list)
    seed: Count | None = None
    """What torch.manual_seed takes on every host."""
    torch: TorchParams = TorchParams()
    autorestart: AutoRestartParams = AutoRestartParams()

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        # As in ModelZoo, where a null section is a default one.
        sections = ("schedulers", "precision", "loop", "checkpoint", "logging", "autorestart")
        return {k: v for k, v in data.items() if not (v is None and k in sections)}

    @property
    def weighs_tokens(self) -> bool:
        """Whether each counted token of an update weighs the same, else each of its batches."""
        return self.model.loss_scaling == "num_tokens" and self.torch.mean_over == "tokens"

    @property
    def backend_type(self) -> BackendType | None:
        """The backend of the run: backend.backend_type, else device; a validation is for CSX."""
        if self.backend.validate_only:
            return "CSX"
        return self.backend.backend_type or self.device


class _CheckpointChoice(Section):
    @property
    def loads_newest(self) -> bool:
        """Whether the path of the checkpoint is left out: the newest in model_dir is loaded."""
        return not {"ckpt_path", "ckpt_paths"} & self.model_fields_set


class FitParams(_CheckpointChoice):
    """``trainer.fit``: the data of training."""

    train_dataloader: DataLoaderParams
    val_dataloader: DataLoaderList | None = None
    ckpt_path: PathText | None = None
    """Where given, null trains from the initial weights; see loads_newest."""


class ValidateParams(_CheckpointChoice):
    """``trainer.validate``: the data of an evaluation."""

    val_dataloader: DataLoaderParams
    ckpt_path: PathText | None = None


class ValidateAllParams(_CheckpointChoice):
    """``trainer.validate_all``: the data of an evaluation of several checkpoints."""

    val_dataloaders: DataLoaderList | None = None
    ckpt_paths: Annotated[list[PathText], BeforeValidator(as_list)] | None = None


class TrainerParams(Section):
    """``trainer``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    init: InitParams
    fit: FitParams | None = None
    validate_: ValidateParams | None = Field(default=None, alias="validate")
    validate_all: ValidateAllParams | None = None


class Params(Section):
    """A whole params file."""

    trainer: TrainerParams
