"""The shape of a params file: ModelZoo 2.10's trainer schema with the model ``mediswift``.

Attribute names are the YAML keys, so ``params.trainer.init.loop.max_steps`` is what it says;
``validate`` alone is ``validate_``, because pydantic keeps the name. A key that is left out has
ModelZoo's own default. What holds between keys is in :mod:`mediswift_cs.params.rules`.
"""

from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator, ConfigDict, Field

from mediswift_cs.params.backend import BackendParams, BackendType, Device
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

__all__ = [
    "BackendParams",
    "DataLoaderParams",
    "InitializerParams",
    "ModelParams",
    "OptimizerParams",
]

DataLoaderList = Annotated[list[DataLoaderParams], BeforeValidator(as_list)]


class PrecisionParams(Section):
    """Number formats, loss scaling and clipping (callbacks/precision.py, MixedPrecision)."""

    enabled: Flag = True
    """Whether the forward pass runs in 16 bits; weights and optimizer stay float32."""
    fp16_type: Literal["float16", "bfloat16", "cbfloat16"] = "bfloat16"
    """The 16-bit format on CSX; CPU and GPU take bfloat16, whatever stands here."""
    precision_opt_level: Literal[0, 1, 2] | None = None
    """How far the CSX compiler may trade precision for speed; None: its default."""
    loss_scaling_factor: Literal["dynamic"] | PositiveReal = 1.0
    """What the loss is multiplied with for the backward pass; dynamic adapts it."""
    initial_loss_scale: PositiveReal | None = None
    """The first factor of dynamic loss scaling."""
    steps_per_increase: PositiveCount = 2000
    """Steps without an overflow after which a dynamic factor grows."""
    min_loss_scale: Annotated[Real, Ge(2.0**-14)] | None = None
    """The smallest dynamic factor; None: 2^-14, the smallest normal number of float16."""
    max_loss_scale: PositiveReal | None = None
    """The largest dynamic factor."""
    max_gradient_norm: PositiveReal | None = None
    """Gradients are scaled down to this norm over all weights; None: no clipping."""
    max_gradient_value: PositiveReal | None = None
    """Each number of the gradients is cut to this size; None: no clipping."""
    log_loss_scale: Flag | None = None
    """Whether the factor of the loss is logged; None: where it is dynamic."""


class LoopParams(Section):
    """How long to train and when to evaluate (callbacks/loop.py, TrainingLoop)."""

    num_steps: PositiveCount | None = None
    """Steps of this run; goes before max_steps."""
    max_steps: PositiveCount | None = None
    """Steps in all, those of a loaded checkpoint included."""
    num_epochs: PositiveCount | None = None
    """Times through the training data; the shortest of this and max_steps ends the run."""
    steps_per_epoch: PositiveCount | None = None
    """Steps that count as one epoch; None: as many as the data have."""
    eval_frequency: Count | Rate | None = 1.0
    """Steps between evaluations, or a fraction of the run; None or 0: no evaluation."""
    eval_steps: PositiveCount | None = None
    """Batches of an evaluation; None: the whole validation set."""
    grad_accum_steps: Annotated[PositiveCount, Le(MAX_BATCH)] = 1
    """Batches of an update, on CPU and GPU; on CSX the compiler chooses the micro batch."""


class CheckpointParams(Section):
    """When and where checkpoints are written (callbacks/checkpoint.py, Checkpoint)."""

    steps: Count | None = None
    """Steps between two checkpoints; None or 0: none are written."""
    autoload_last_checkpoint: Flag = True
    """Whether a run goes on from the newest checkpoint in model_dir."""
    disable_strict_checkpoint_loading: Flag = False
    """Whether weights may be missing in a checkpoint, or be left over."""
    save_initial_checkpoint: Flag = False
    """Whether a checkpoint is written before the first step."""
    checkpoint_root: str | None = None
    """Folder of the checkpoints; None: model_dir."""
    checkpoint_name: str = Field(default="checkpoint_{step}.mdl", pattern=r"\{step\}")
    """Name of the files, in which ``{step}`` stands for the number of the step."""
    strict_version: Flag = True
    """Whether ModelZoo refuses checkpoints of another release than its own."""


class LoggingParams(Section):
    """How often the loss is printed (callbacks/logging.py, Logging)."""

    log_steps: PositiveCount
    """Steps between two lines of the log."""
    log_level: str = "INFO"
    """The least important messages that are logged: DEBUG, INFO, WARNING or ERROR."""
    wsc_log_level: dict[str, Any] | None = None
    """Levels for servers of the cluster, by their names."""
    enable_act_frequency: Flag = False
    """On CSX: whether activations come back at logged steps only."""


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
    """Restarts without progress after which ModelZoo gives up; None: no restarts."""
    min_num_csx: PositiveCount = 1
    """The fewest CS systems that a restart makes do with."""


class InitParams(Section):
    """``trainer.init``: the model and everything that is set up once."""

    ours: ClassVar[frozenset[str]] = frozenset({"torch"})

    model: ModelParams
    """The decoder."""
    device: Device | None = None
    """Where to run: in the place of backend.backend_type where that is left out."""
    backend: BackendParams = BackendParams()
    """Machine of the run and its settings."""
    model_dir: str = "./model_dir"
    """Folder of everything that the run writes."""
    optimizer: OptimizerParams | None = None
    """The optimizer; None: evaluation only."""
    schedulers: list[SchedulerParams] = Field(default_factory=list)
    """The schedule of the learning rate; left out: the optimizer's rate at each step."""
    precision: PrecisionParams = PrecisionParams(enabled=False)
    """Number formats and clipping; left out: float32 without clipping."""
    sparsity: SparsityParams | None = None
    """Which weights are zero; None: dense."""
    loop: LoopParams = LoopParams(num_epochs=1)
    """Length of the run, and its evaluations."""
    checkpoint: CheckpointParams = CheckpointParams()
    """When and where checkpoints are written."""
    logging: LoggingParams = LoggingParams(log_steps=1)
    """What is logged, and how often."""
    callbacks: list[CallbackParams] = Field(default_factory=list)
    """Further things that happen in a run, each by the name of its class."""
    loggers: list[LoggerParams] = Field(default_factory=list)
    """Where ModelZoo's Trainer sends what it logs, each by the name of its class."""
    seed: Count | None = None
    """Draws the first weights, masks and dropout; None: another each time."""
    torch: TorchParams = TorchParams()
    """Settings of this package's own loop."""
    autorestart: AutoRestartParams = AutoRestartParams()
    """What ModelZoo's Trainer does after a failure."""

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
    """The data to train on."""
    val_dataloader: DataLoaderList | None = None
    """The data to evaluate on: one set or a list, whose metrics then carry its numbers from 0."""
    ckpt_path: PathText | None = None
    """The checkpoint to start from; None: random weights; left out: the newest in model_dir."""


class ValidateParams(_CheckpointChoice):
    """``trainer.validate``: the data of an evaluation."""

    val_dataloader: DataLoaderParams
    """The data to evaluate on."""
    ckpt_path: PathText | None = None
    """The checkpoint to evaluate; left out: the newest in model_dir."""


class ValidateAllParams(_CheckpointChoice):
    """``trainer.validate_all``: the data of an evaluation of several checkpoints."""

    val_dataloaders: DataLoaderList | None = None
    """The data to evaluate on."""
    ckpt_paths: Annotated[list[PathText], BeforeValidator(as_list)] | None = None
    """The checkpoints to evaluate, as paths or patterns; left out: the newest."""


class TrainerParams(Section):
    """``trainer``: what ModelZoo's Trainer is made with, and what it is asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    init: InitParams
    """The model, and everything that is set up once."""
    fit: FitParams | None = None
    """The data of training."""
    validate_: ValidateParams | None = Field(default=None, alias="validate")
    """The data of an evaluation."""
    validate_all: ValidateAllParams | None = None
    """The data of an evaluation of several checkpoints."""


class Params(Section):
    """A whole params file."""

    trainer: TrainerParams
    """ModelZoo's Trainer: what it is made with, and what it is asked to do."""
