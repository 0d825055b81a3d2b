"""``trainer.init.callbacks`` and ``trainer.init.loggers``: the stock ones of ModelZoo 2.10.

Names and defaults are those of cerebras.modelzoo.trainer (callbacks/, extensions/, loggers/).
Callbacks of a user's own run in ModelZoo only: their arguments cannot be checked here.
"""

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from mediswift_cs.params.section import Count, Flag, OneNamed, PositiveCount, Section, StringList


class NoArguments(Section):
    """A callback without arguments."""


class AnyArguments(Section):
    """Arguments that only ModelZoo reads, such as flags of the CSX compiler."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class CountParamsArguments(Section):
    """A table of parameters at the start."""

    search_and_replace: list[tuple[str, str]] | None = None
    order_by: StringList | None = None
    descending: Flag = False


class DebugArgsPathArguments(Section):
    """Debug arguments of the cluster."""

    debug_args_path: str


class DumpActivationsArguments(Section):
    """Activations written to files."""

    outdir: str | None = None
    buffer_steps: PositiveCount | None = None


class HFCacheDirArguments(Section):
    """Hugging Face's cache on the workers."""

    cache_dir: str


class KeepNCheckpointsArguments(Section):
    """The n newest checkpoints of a run are kept; None keeps all."""

    n: PositiveCount | None = None


class LoadCheckpointStatesArguments(Section):
    """Which parts of a checkpoint are loaded."""

    load_checkpoint_states: StringList = Field(default=["all"])

    @property
    def names(self) -> set[str]:
        """The parts by name; as in ModelZoo, commas separate them and case does not matter."""
        given = ",".join(self.load_checkpoint_states).lower().split(",")
        return {name.strip() for name in given}


class LogOptimizerParamGroupArguments(Section):
    """Keys of the optimizer's groups that are logged."""

    keys: StringList


class ModelZooParamsMetadataArguments(Section):
    """The params written into each checkpoint."""

    params: dict[str, Any] | None = None


class NaNCheckerArguments(Section):
    """Stops at the first NaN of the first num_steps steps."""

    num_steps: PositiveCount | None = None


class NormGNSArguments(Section):
    """Per-example gradient norms."""

    per_example_grad_norms: list[str] | None


class OpProfilerArguments(Section):
    """Profile of the steps start_step to end_step."""

    start_step: int = -1
    end_step: int = -1
    host_activities: list[str] | None = None


class SaveCheckpointStateArguments(Section):
    """Every k-th checkpoint written once more, with some of its parts."""

    k: PositiveCount
    checkpoint_states: StringList = Field(default=["model"])
    checkpoint_name: str = "{checkpoint_states}_{ckpt_name}"


class SkipSamplesArguments(Section):
    """Samples to skip when a run is resumed."""

    n: Count


class TensorListenerArguments(Section):
    """Tensors to summarise."""

    listener_name: str
    tensor_names: StringList


class CallbackParams(OneNamed):
    """One callback, by name. ``Name: null`` takes a callback out that ModelZoo adds by itself."""

    null_is_allowed: ClassVar[bool] = True

    # Added by ModelZoo itself
    CheckLoss: NoArguments | None = None
    ComputeNorm: NoArguments | None = None
    DumpAvailableTensorNames: NoArguments | None = None
    DurationProfiler: NoArguments | None = None
    FlopUtilization: NoArguments | None = None
    LogOptimizerParamGroup: LogOptimizerParamGroupArguments | None = None
    ModelEvalMetrics: NoArguments | None = None
    ModelZooParamsMetadata: ModelZooParamsMetadataArguments | None = None
    RateProfiler: NoArguments | None = None
    SamplesStreamedInfo: NoArguments | None = None
    SavePerformanceData: NoArguments | None = None
    # Checkpoints
    KeepNCheckpoints: KeepNCheckpointsArguments | None = None
    LoadCheckpointStates: LoadCheckpointStatesArguments | None = None
    SaveCheckpointState: SaveCheckpointStateArguments | None = None
    SkipSamples: SkipSamplesArguments | None = None
    # Measuring
    ComputeNormGNS: NormGNSArguments | None = None
    CountParams: CountParamsArguments | None = None
    DumpActivations: DumpActivationsArguments | None = None
    LogInputSummaries: NoArguments | None = None
    LogSparsity: NoArguments | None = None
    NaNChecker: NaNCheckerArguments | None = None
    NormTensorListener: TensorListenerArguments | None = None
    OpProfiler: OpProfilerArguments | None = None
    SummaryTensorListener: TensorListenerArguments | None = None
    # Compiler, cluster, others' services
    BigCodeEvalHarness: AnyArguments | None = None
    DebugArgsPath: DebugArgsPathArguments | None = None
    EleutherEvalHarness: AnyArguments | None = None
    EmailNotification: AnyArguments | None = None
    GlobalFlags: AnyArguments | None = None
    HFCacheDir: HFCacheDirArguments | None = None
    Lora: AnyArguments | None = None
    ScopedBigCodeEvalHarnessFlags: AnyArguments | None = None
    ScopedEleutherEvalHarnessFlags: AnyArguments | None = None
    ScopedTrainFlags: AnyArguments | None = None
    ScopedValidateFlags: AnyArguments | None = None
    SelectiveGrad: AnyArguments | None = None
    SlackNotification: AnyArguments | None = None
    WeightCompression: AnyArguments | None = None


class TensorBoardLoggerArguments(Section):
    """Event files; in model_dir when summary_dir is left out."""

    summary_dir: str | None = None
    legacy_event_dirs: Flag = False


class TelemetryLoggerArguments(Section):
    """The cluster's telemetry."""

    max_buffer_size: PositiveCount = 128
    max_buffer_seconds: PositiveCount = 150


class WandbLoggerArguments(Section):
    """Weights and Biases."""

    project: str | None = None
    group: str | None = None
    run_id: str | None = None
    run_name: str | None = None
    job_type: str | None = None
    tags: list[str] | None = None
    resume: Literal["never", "allow", "auto", "must"] = "auto"
    entity: str | None = None


class LoggerParams(OneNamed):
    """One logger, by name. ``Name: null`` takes a logger out that ModelZoo adds by itself."""

    null_is_allowed: ClassVar[bool] = True

    ProgressLogger: NoArguments | None = None
    TensorBoardLogger: TensorBoardLoggerArguments | None = None
    TelemetryLogger: TelemetryLoggerArguments | None = None
    WandbLogger: WandbLoggerArguments | None = None
