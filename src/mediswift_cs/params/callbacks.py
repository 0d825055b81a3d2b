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

    described: ClassVar[str] = "a mapping"


class KeepNCheckpointsArguments(Section):
    """The n newest checkpoints of a run are kept; None keeps all."""

    n: PositiveCount | None = None
    """How many are kept; None: all."""


class LoadCheckpointStatesArguments(Section):
    """Which parts of a checkpoint are loaded."""

    load_checkpoint_states: StringList = Field(default=["all"])
    """all, or parts by name: model, optimizer, schedulers, ..."""

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
    """Keeps the newest checkpoints and removes older ones."""
    LoadCheckpointStates: LoadCheckpointStatesArguments | None = None
    """Takes only parts of the checkpoint that a run starts from; the rest begins anew."""


def _section(**keys: tuple[Any, Any, str]) -> type[Section]:
    """Arguments, each with its type, its default (an ellipsis stands for none) and its meaning."""
    fields = {
        key: (type_, Field(default, description=text))
        for key, (type_, default, text) in keys.items()
    }
    return create_model("Arguments", __base__=Section, **fields)  # type: ignore[call-overload,no-any-return]


_TENSORS = _section(
    listener_name=(str, ..., "A part of the names under which the values are logged."),
    tensor_names=(StringList, ..., "Names of the tensors, or glob patterns."),
)

# The arguments of each callback, and what it does.
CALLBACKS: dict[str, tuple[type[Section], str]] = {
    # Added by ModelZoo itself
    "CheckLoss": (NoArguments, "Ends a run whose loss is not finite."),
    "ComputeNorm": (NoArguments, "Logs the norms of weights and gradients, by layer too."),
    "DumpAvailableTensorNames": (
        NoArguments,
        "Lists the tensors that can be listened to.",
    ),
    "DurationProfiler": (NoArguments, "Logs how long the run has taken and will take."),
    "FlopUtilization": (NoArguments, "Logs which share of the machine's FLOPs is reached."),
    "LogOptimizerParamGroup": (
        _section(keys=(StringList, ..., "Names of the values, such as lr.")),
        "Logs values of the optimizer's groups at each step.",
    ),
    "ModelEvalMetrics": (NoArguments, "Logs the metrics of the model, such as perplexity."),
    "ModelZooParamsMetadata": (
        _section(params=(dict[str, Any] | None, None, "The params; None: those of the run.")),
        "Puts the params into each checkpoint.",
    ),
    "RateProfiler": (NoArguments, "Logs samples a second."),
    "SamplesStreamedInfo": (NoArguments, "Counts the samples that were read."),
    "SavePerformanceData": (NoArguments, "Writes what the profilers measured to a file."),
    # Checkpoints
    "SaveCheckpointState": (
        _section(
            k=(PositiveCount, ..., "Every k-th checkpoint is written once more."),
            checkpoint_states=(StringList, ["model"], "The parts that the second file has."),
            checkpoint_name=(
                str,
                "{checkpoint_states}_{ckpt_name}",
                "Name of the second file.",
            ),
        ),
        "Writes some checkpoints once more with some of their parts; these are never removed.",
    ),
    "SkipSamples": (
        _section(n=(Count, ..., "Number of samples.")),
        "Leaves samples out when a run goes on from a checkpoint.",
    ),
    # Measuring
    "ComputeNormGNS": (
        _section(per_example_grad_norms=(list[str] | None, ..., "Weights to measure; null: all.")),
        "Logs norms of each example's gradients, from which the noise of gradients follows.",
    ),
    "CountParams": (
        _section(
            search_and_replace=(
                list[tuple[str, str]] | None,
                None,
                "Regular expressions and replacements that group the names.",
            ),
            order_by=(StringList | None, None, "Columns by which the table is sorted."),
            descending=(Flag, False, "Whether the largest come first."),
        ),
        "Prints the numbers of weights at the start.",
    ),
    "DumpActivations": (
        _section(
            outdir=(str | None, None, "Folder of the files."),
            buffer_steps=(PositiveCount | None, None, "Steps of a file; None: one file."),
        ),
        "Writes activations to files, on CPU and GPU.",
    ),
    "LogInputSummaries": (NoArguments, "Logs summaries of the batches."),
    "LogSparsity": (NoArguments, "Logs the fractions of zeros, those that were asked for too."),
    "NaNChecker": (
        _section(num_steps=(PositiveCount | None, None, "Steps after which the run ends.")),
        "Finds on CSX where a value that is no number comes from; slow.",
    ),
    "NormTensorListener": (_TENSORS, "Logs the norms of tensors by their names."),
    "OpProfiler": (
        _section(
            start_step=(int, -1, "The first step that is measured."),
            end_step=(int, -1, "The last step that is measured."),
            host_activities=(list[str] | None, None, "Servers of the cluster to measure."),
        ),
        "Measures single operations on CSX.",
    ),
    "SummaryTensorListener": (_TENSORS, "Logs tensors by their names."),
    # Compiler, cluster, others' services
    "BigCodeEvalHarness": (AnyArguments, "Runs BigCode's evaluation harness at evaluations."),
    "DebugArgsPath": (
        _section(debug_args_path=(str, ..., "The file.")),
        "Reads settings of the cluster's software from a file.",
    ),
    "EleutherEvalHarness": (
        AnyArguments,
        "Runs EleutherAI's evaluation harness at evaluations.",
    ),
    "EmailNotification": (AnyArguments, "Sends mails about the run."),
    "GlobalFlags": (AnyArguments, "Sets flags of the CSX compiler for everything."),
    "HFCacheDir": (
        _section(cache_dir=(str, ..., "The folder.")),
        "Sets the folder in which Hugging Face's libraries keep what they fetched.",
    ),
    "Lora": (AnyArguments, "Trains low-rank additions to the weights in their place."),
    "ScopedBigCodeEvalHarnessFlags": (AnyArguments, "Sets flags for BigCode's harness only."),
    "ScopedEleutherEvalHarnessFlags": (AnyArguments, "Sets flags for EleutherAI's harness only."),
    "ScopedTrainFlags": (AnyArguments, "Sets flags for training only."),
    "ScopedValidateFlags": (AnyArguments, "Sets flags for evaluations only."),
    "SelectiveGrad": (AnyArguments, "Computes the gradients of some weights only."),
    "SlackNotification": (AnyArguments, "Sends messages about the run to Slack."),
    "WeightCompression": (AnyArguments, "Compresses weights on their way to the CSX."),
}

# The same of each logger.
LOGGERS: dict[str, tuple[type[Section], str]] = {
    "ProgressLogger": (NoArguments, "Prints the loss and the rate."),
    "TensorBoardLogger": (
        _section(
            summary_dir=(str | None, None, "Folder of the event files; None: model_dir."),
            legacy_event_dirs=(Flag, False, "Whether they lie as in older releases."),
        ),
        "Writes event files for TensorBoard.",
    ),
    "TelemetryLogger": (
        _section(
            max_buffer_size=(PositiveCount, 128, "Values that are collected before they are sent."),
            max_buffer_seconds=(PositiveCount, 150, "Seconds after which they are sent anyway."),
        ),
        "Sends values to the cluster's telemetry.",
    ),
    "WandbLogger": (
        _section(
            project=(str | None, None, "Name of the project."),
            group=(str | None, None, "Name of a group of runs."),
            run_id=(str | None, None, "Identifier of the run."),
            run_name=(str | None, None, "Name of the run."),
            job_type=(str | None, None, "Kind of the job."),
            tags=(list[str] | None, None, "Labels of the run."),
            resume=(
                Literal["never", "allow", "auto", "must"],
                "auto",
                "Whether an earlier run of this identifier goes on.",
            ),
            entity=(str | None, None, "User or team."),
        ),
        "Sends values to Weights and Biases, a service on another host.",
    ),
}


def _optional(named: dict[str, tuple[type[Section], str]]) -> dict[str, Any]:
    """An optional field for each class."""
    return {
        name: (arguments | None, Field(None, description=text))
        for name, (arguments, text) in named.items()
    }


if TYPE_CHECKING:
    CallbackParams = _ReadHere
    LoggerParams = _NullTakesOut
else:
    CallbackParams = create_model("CallbackParams", __base__=_ReadHere, **_optional(CALLBACKS))
    LoggerParams = create_model("LoggerParams", __base__=_NullTakesOut, **_optional(LOGGERS))
