"""``trainer.init.callbacks`` and ``trainer.init.loggers``: the stock ones of ModelZoo 2.10.

Names and defaults are those of cerebras.modelzoo.trainer (callbacks/, extensions/, loggers/).
Callbacks of a user's own run in ModelZoo only: their arguments cannot be checked here.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, create_model

from mediswift_cs.params.section import Count, Flag, OneNamed, PositiveCount, Section, StringList


class NoArguments(Section):
    """A callback without arguments."""


class AnyArguments(Section):
    """Arguments that only ModelZoo reads, such as flags of the CSX compiler."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


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


class _NullTakesOut(OneNamed):
    """``Name: null`` takes out what ModelZoo adds by itself."""

    null_is_allowed: ClassVar[bool] = True


class _ReadHere(_NullTakesOut):
    """The callbacks whose arguments the package's own loop reads."""

    KeepNCheckpoints: KeepNCheckpointsArguments | None = None
    LoadCheckpointStates: LoadCheckpointStatesArguments | None = None


def _section(**keys: tuple[Any, Any]) -> type[Section]:
    """Arguments, each with its type and its default; an ellipsis stands for none."""
    return create_model("Arguments", __base__=Section, **keys)  # type: ignore[call-overload,no-any-return]


_TENSORS = _section(listener_name=(str, ...), tensor_names=(StringList, ...))

CALLBACKS: dict[str, type[Section]] = {
    # Added by ModelZoo itself
    "CheckLoss": NoArguments,
    "ComputeNorm": NoArguments,
    "DumpAvailableTensorNames": NoArguments,
    "DurationProfiler": NoArguments,
    "FlopUtilization": NoArguments,
    "LogOptimizerParamGroup": _section(keys=(StringList, ...)),
    "ModelEvalMetrics": NoArguments,
    "ModelZooParamsMetadata": _section(params=(dict[str, Any] | None, None)),
    "RateProfiler": NoArguments,
    "SamplesStreamedInfo": NoArguments,
    "SavePerformanceData": NoArguments,
    # Checkpoints: every k-th is written once more with some of its parts; samples are skipped
    # when a run is resumed
    "SaveCheckpointState": _section(
        k=(PositiveCount, ...),
        checkpoint_states=(StringList, ["model"]),
        checkpoint_name=(str, "{checkpoint_states}_{ckpt_name}"),
    ),
    "SkipSamples": _section(n=(Count, ...)),
    # Measuring
    "ComputeNormGNS": _section(per_example_grad_norms=(list[str] | None, ...)),
    "CountParams": _section(
        search_and_replace=(list[tuple[str, str]] | None, None),
        order_by=(StringList | None, None),
        descending=(Flag, False),
    ),
    "DumpActivations": _section(
        outdir=(str | None, None), buffer_steps=(PositiveCount | None, None)
    ),
    "LogInputSummaries": NoArguments,
    "LogSparsity": NoArguments,
    "NaNChecker": _section(num_steps=(PositiveCount | None, None)),
    "NormTensorListener": _TENSORS,
    "OpProfiler": _section(
        start_step=(int, -1), end_step=(int, -1), host_activities=(list[str] | None, None)
    ),
    "SummaryTensorListener": _TENSORS,
    # Compiler, cluster, others' services
    "BigCodeEvalHarness": AnyArguments,
    "DebugArgsPath": _section(debug_args_path=(str, ...)),
    "EleutherEvalHarness": AnyArguments,
    "EmailNotification": AnyArguments,
    "GlobalFlags": AnyArguments,
    "HFCacheDir": _section(cache_dir=(str, ...)),
    "Lora": AnyArguments,
    "ScopedBigCodeEvalHarnessFlags": AnyArguments,
    "ScopedEleutherEvalHarnessFlags": AnyArguments,
    "ScopedTrainFlags": AnyArguments,
    "ScopedValidateFlags": AnyArguments,
    "SelectiveGrad": AnyArguments,
    "SlackNotification": AnyArguments,
    "WeightCompression": AnyArguments,
}

LOGGERS: dict[str, type[Section]] = {
    "ProgressLogger": NoArguments,
    # Event files; in model_dir when summary_dir is left out
    "TensorBoardLogger": _section(summary_dir=(str | None, None), legacy_event_dirs=(Flag, False)),
    "TelemetryLogger": _section(
        max_buffer_size=(PositiveCount, 128), max_buffer_seconds=(PositiveCount, 150)
    ),
    "WandbLogger": _section(
        project=(str | None, None),
        group=(str | None, None),
        run_id=(str | None, None),
        run_name=(str | None, None),
        job_type=(str | None, None),
        tags=(list[str] | None, None),
        resume=(Literal["never", "allow", "auto", "must"], "auto"),
        entity=(str | None, None),
    ),
}

if TYPE_CHECKING:
    CallbackParams = _ReadHere
    LoggerParams = _NullTakesOut
else:
    _fields = {name: (arguments | None, None) for name, arguments in CALLBACKS.items()}
    CallbackParams = create_model("CallbackParams", __base__=_ReadHere, **_fields)
    _fields = {name: (arguments | None, None) for name, arguments in LOGGERS.items()}
    LoggerParams = create_model("LoggerParams", __base__=_NullTakesOut, **_fields)
