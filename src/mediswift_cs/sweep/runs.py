"""The runs of a sweep, one after the other; each is a command that a user could type."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mediswift_cs.checkpoints.model_dir import LOG_FILE, METRICS_FILE, metric_lines
from mediswift_cs.errors import (
    INTERRUPTED_EXIT_CODE,
    JOB_FAILED_EXIT_CODE,
    ConfigError,
    DataError,
)
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.plain import values_by_key
from mediswift_cs.params.run_options import FAILURE_FILE
from mediswift_cs.steps import StepError, exit_code_of_command
from mediswift_cs.storage.checksums import sha256_of
from mediswift_cs.storage.read import NO_OTHER_KEYS, check_keys, check_type, read_json_object
from mediswift_cs.storage.write import write_json
from mediswift_cs.sweep.values import Swept, SweptValue
from mediswift_cs.tokens.manifest import find_manifest

RECORD_FILE = "sweep_run.json"
# Settings of a run that do not change what comes out.
_FREE = tuple(f"params.init.{name}" for name in ("model_dir", "checkpoint.", "logging."))
MAX_TOLD = 3


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of one run.

    Attributes:
        step: of the last evaluation.
        val_loss: the held-out loss there, nats per token; None where the run diverged.
        val_bits_per_byte: None where the size of the held-out text is not known too.
        error: why the run diverged.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = NO_OTHER_KEYS

    state: Literal["finished", "diverged"]
    step: int | None = None
    val_loss: float | None = None
    val_bits_per_byte: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a sweep: its value, its params, its folder and the command that starts it."""

    value: SweptValue
    loaded: LoadedParams
    folder: Path
    command: tuple[str, ...]
    checkpoint_path: Path | None = None

    def settings(self) -> dict[str, Any]:
        """What decides the result: the params, the data, the start."""
        params = self.loaded.params.trainer.model_dump(mode="json")
        fit = self.loaded.params.trainer.fit
        assert fit is not None
        loaders = [fit.train_dataloader, *(fit.val_dataloader or [])]
        manifests = {
            folder: path and sha256_of(path)
            for loader in loaders
            for folder in loader.data_dirs
            for path in [find_manifest(Path(folder))]
        }
        start = self.checkpoint_path and str(self.checkpoint_path.resolve())
        return {"params": params, "manifests": manifests, "checkpoint_path": start}

    def outcome(self) -> Outcome | None:
        """What came out, where the run has ended.

        Raises:
            ConfigError: the folder holds another run.
            DataError: the record of the run cannot be read.
        """
        record = self.folder / RECORD_FILE
        if not record.exists():
            if any((self.folder / name).exists() for name in (LOG_FILE, METRICS_FILE)):
                raise ConfigError(
                    f"{self.folder} holds a run that is none of a sweep, allowed: another "
                    "--model_dir"
                )
            return None
        found = read_json_object(record)
        if changed := _differences(found.get("settings"), self.settings()):
            raise ConfigError(
                f"{self.folder} holds a run with other settings ({'; '.join(changed)}), allowed: "
                "another --model_dir, or remove that folder to run it anew"
            )
        kept = check_keys(found, ("outcome",), str(record))["outcome"]
        return None if kept is None else check_type(Outcome, kept, f"{record}: outcome")

    def carry_out(self) -> Outcome:
        """Run it, or let it go on where it stopped.

        Raises:
            StepError: it was interrupted, or failed otherwise than by diverging.
        """
        settings = self.settings()
        write_json(self.folder / RECORD_FILE, {"settings": settings, "outcome": None})
        code = exit_code_of_command(*self.command, passes_ctrl_c_on=True)
        failure = self.folder / FAILURE_FILE
        if code == JOB_FAILED_EXIT_CODE and failure.exists():
            outcome = Outcome(state="diverged", error=str(read_json_object(failure).get("error")))
        elif code == 0:
            outcome = _last_evaluation(self.folder)
        else:
            what = (
                "was stopped" if code == INTERRUPTED_EXIT_CODE else f"ended with exit code {code}"
            )
            raise StepError(what, code)
        write_json(self.folder / RECORD_FILE, {"settings": settings, "outcome": asdict(outcome)})
        return outcome


def carry_out(swept: Swept, runs: Sequence[Run]) -> list[Outcome]:
    """Carry out the runs that have not ended yet, and say how far the sweep is.

    Raises:
        StepError: a run was interrupted or failed.
        ConfigError: a folder holds another run.
    """
    known = [run.outcome() for run in runs]
    outcomes: list[Outcome] = []
    seconds: list[float] = []
    for number, (run, outcome) in enumerate(zip(runs, known, strict=True), start=1):
        title = f"--- run {number} of {len(runs)}: {swept.key}={run.value.shown}"
        if outcome is not None:
            print(f"{title} is there already: {outcome.state}", flush=True)
            outcomes.append(outcome)
            continue
        num_left = known[number - 1 :].count(None)
        left = sum(seconds) / len(seconds) * num_left if seconds else None
        told = "" if left is None else f" (about {_duration(left)} left)"
        print(f"{title} in {run.folder}{told}", flush=True)
        start = time.monotonic()
        try:
            outcomes.append(run.carry_out())
        except StepError as error:
            raise StepError(
                f"run {number} of {len(runs)} of the sweep, {swept.key}={run.value.shown}, "
                f"{error}. Give the same command again to go on.",
                error.exit_code,
            ) from error
        seconds.append(time.monotonic() - start)
    return outcomes


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _differences(before: Any, now: dict[str, Any]) -> list[str]:
    """What is not as it was, by key."""
    was, got = values_by_key(before), values_by_key(now)
    told = [
        f"{key} was {was.get(key, 'left out')}, is {got.get(key, 'left out')}"
        for key in sorted(was.keys() | got.keys())
        if was.get(key) != got.get(key) and not key.startswith(_FREE)
    ]
    return [*told[:MAX_TOLD], *([f"and {len(told) - MAX_TOLD} more"] if told[MAX_TOLD:] else [])]


def _last_evaluation(folder: Path) -> Outcome:
    """The scores at the end of a run; of several validation sets the first one's.

    Raises:
        DataError: there are none.
    """
    found: dict[str, Any] = {}
    for _, line in metric_lines(folder / METRICS_FILE):
        suffix = next((end for end in ("", "_0") if f"val_loss{end}" in line), None)
        if suffix is not None:
            names = ("val_loss", "val_bits_per_byte")
            found = {"step": line["step"], **{name: line.get(f"{name}{suffix}") for name in names}}
    if not found:
        raise DataError(f"{folder / METRICS_FILE} has no held-out loss: remove {folder}")
    return check_type(Outcome, {"state": "finished", **found}, str(folder / METRICS_FILE))
