"""``--validate_only``: does the real step compile for a CS-2? Needs no cluster, network or data.

The front end of the compiler runs in a process of its own (compile_trace.py). This side imports no
torch: it checks what one traced batch does not show, watches memory, and judges what came out.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.run_options import Mode
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.params.training_cost import kept_weights, sparse_groups
from mediswift_cs.training.cirh import HINTS_PER_TRAINED_MASK, GraphSummary, summarise
from mediswift_cs.training.cluster import check_cluster_settings
from mediswift_cs.training.process_memory import PeakMemory

TRACE_COMMAND = (sys.executable, "-m", "mediswift_cs.training.compile_trace")
REQUEST_FILE, RESULT_FILE, LOG_FILE = "request.json", "result.json", "trace.log"
TRAINING, EVALUATION = "training", "evaluation"
SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(kw_only=True)
class Verdict:
    """What a validation found."""

    failure: dict[str, Any] | None = None
    """message, operation, location, source and hint; None for a pass."""
    graphs: dict[str, GraphSummary] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)
    """What the tracing process says: data, batches, num_parameters, cerebras_pytorch."""
    artifacts: dict[str, str] = field(default_factory=dict)
    wall_seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def passed(self) -> bool:
        """Whether every graph compiles."""
        return self.failure is None


def validate(
    loaded: LoadedParams,
    *,
    mode: Mode,
    model_dir: Path,
    trace_command: Sequence[str] = TRACE_COMMAND,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Verdict:
    """Compile the graphs of ``mode`` as far as this machine can.

    ``on_stage`` is told what is being done whenever that changes.

    Raises:
        ConfigError, DataError: the params or the data are wrong, which no compiler has to tell.
    """
    started = time.monotonic()
    params = loaded.params
    problems = [problem.line(loaded.source.name) for problem in check_cluster_settings(params)]
    if problems:
        raise ConfigError("\n".join(problems))
    dataloaders = graphs_of_mode(params, mode)
    folder = prepare_artifact_dir(model_dir, loaded.source.stem)
    request = {
        "params": loaded.raw,
        "artifact_dir": str(folder),
        "graphs": list(dataloaders),
        "dataloaders": {graph: loader.model_dump() for graph, loader in dataloaders.items()},
    }
    (folder / REQUEST_FILE).write_text(json.dumps(request))
    verdict = Verdict()
    with PeakMemory() as memory:
        # Source locations make the graphs four times larger, so only a failure pays for them.
        result = run_trace(folder, trace_command, on_stage, with_locations=False)
        judge(verdict, result, params, folder)
        if verdict.failure and verdict.failure.get("needs_locations"):
            clear_outputs(folder)
            on_stage("compiling again to find the line of the failure")
            result = run_trace(folder, trace_command, on_stage, with_locations=True)
            judge(verdict, result, params, folder)
    verdict.peak_bytes = memory.num_bytes
    verdict.wall_seconds = time.monotonic() - started
    return verdict


def graphs_of_mode(params: Params, mode: Mode) -> dict[str, DataLoaderParams]:
    """The graphs that a run in this mode compiles, each with the data that it reads.

    Raises:
        ConfigError: the params have no such data.
    """
    trainer = params.trainer
    graphs: dict[str, DataLoaderParams] = {}
    if mode in ("train", "train_and_eval"):
        if trainer.fit is None or trainer.init.optimizer is None:
            raise ConfigError(
                f"--mode {mode} trains: got no trainer.fit.train_dataloader or no "
                f"trainer.init.optimizer in the params"
            )
        graphs[TRAINING] = trainer.fit.train_dataloader
    if mode != "train":
        evaluated = [] if trainer.fit is None else list(trainer.fit.val_dataloader or [])
        if mode != "train_and_eval" and trainer.validate_ is not None:
            evaluated.insert(0, trainer.validate_.val_dataloader)
        if mode != "train_and_eval" and trainer.validate_all is not None:
            evaluated += trainer.validate_all.val_dataloaders or []
        if evaluated:
            graphs[EVALUATION] = evaluated[0]
        elif mode != "train_and_eval":
            raise ConfigError(f"--mode {mode} needs data: got no val_dataloader in the params")
    return graphs


def prepare_artifact_dir(model_dir: Path, name: str) -> Path:
    """An empty folder for what the compiler writes; an earlier validation's is replaced."""
    folder = model_dir.resolve() / "validate_only" / name
    try:
        if (folder / REQUEST_FILE).is_file():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REQUEST_FILE).write_text("{}")
    except OSError as error:
        raise ConfigError(f"cannot write to --model_dir {model_dir}: {error.strerror}") from error
    return folder


def clear_outputs(folder: Path) -> None:
    """Remove what a first attempt left, so that nothing of it can be taken for the second's."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (folder / RESULT_FILE).unlink(missing_ok=True)


def run_trace(
    folder: Path,
    trace_command: Sequence[str],
    on_stage: Callable[[str], None],
    *,
    with_locations: bool,
) -> dict[str, Any]:
    """Run the tracing process to its end; returns its result and, as ``status``, its exit code."""
    environment = {
        **os.environ,
        "CSTORCH_DEBUG": "1" if with_locations else "0",
        "OMP_NUM_THREADS": "1",
        "TORCH_NUM_THREADS": "1",
    }
    # Settings for a long CPU run hold on to memory that this short process gives back.
    for name in ("MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        environment.pop(name, None)
    command = [*trace_command, str(folder / REQUEST_FILE), str(folder / RESULT_FILE)]
    unsupported = Path("ltc_unsupported.graph")
    littered = unsupported.exists()
    with (folder / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            status = follow(process, folder / RESULT_FILE, on_stage)
        finally:
            process.kill()
    if unsupported.exists() and not littered:
        shutil.move(unsupported, folder / unsupported)
    return {**read_result(folder / RESULT_FILE), "status": status}


def follow(
    process: subprocess.Popen[bytes], result_file: Path, on_stage: Callable[[str], None]
) -> int:
    """Wait for the tracing process and tell its stages; returns its exit code."""
    stage = None
    while True:
        try:
            return process.wait(timeout=SECONDS_BETWEEN_LOOKS)
        except subprocess.TimeoutExpired:
            found = read_result(result_file).get("stage")
            if found is not None and found != stage:
                stage = found
                on_stage(stage)


def read_result(result_file: Path) -> dict[str, Any]:
    """What the tracing process has written so far."""
    result: dict[str, Any] = json.loads(result_file.read_text()) if result_file.is_file() else {}
    return result


def judge(verdict: Verdict, result: dict[str, Any], params: Params, folder: Path) -> None:
    """Fill in the verdict; a pass needs evidence for each graph that was asked for."""
    if "wrong_input" in result:
        raise DataError(result["wrong_input"])
    verdict.trace = {
        key: result.get(key) for key in ("data", "batches", "num_parameters", "cerebras_pytorch")
    }
    verdict.artifacts = {
        path.relative_to(folder).as_posix(): str(path)
        for path in sorted([*folder.glob("executors/0*/*.mlir"), folder / LOG_FILE])
    }
    verdict.failure = result.get("failure") or find_failure(result, folder)
    if verdict.failure is not None:
        return
    request = json.loads((folder / REQUEST_FILE).read_text())
    for graph in request["graphs"]:
        cirh = Path(result.get("graphs", {}).get(graph, "none")) / "cirh.mlir"
        if not cirh.is_file() or cirh.stat().st_size == 0:
            verdict.failure = plain_failure(
                f"the compiler wrote no CIRH for the {graph} graph ({cirh} is empty or missing), "
                f"although it reported success; see {folder / LOG_FILE}"
            )
            return
        verdict.graphs[graph] = summarise(cirh)
        verdict.failure = check_graph(graph, verdict.graphs[graph], params)
        if verdict.failure is not None:
            return


def find_failure(result: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """What is wrong with a trace that did not say so itself."""
    status = result["status"]
    if status != 0:
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        where = result.get("stage", "starting")
        lines = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        return plain_failure(f"the compiler ended with {how} while {where}{last}")
    if result.get("import_error"):
        return plain_failure(result["import_error"])
    return None


def check_graph(graph: str, summary: GraphSummary, params: Params) -> dict[str, Any] | None:
    """Whether the graph is one of the model that was asked for: every sparse weight is in it."""
    if summary.num_operations == 0:
        return plain_failure(f"the {graph} graph has no operation")
    num_masks = sum(group.num_matrices for group in sparse_groups(params))
    expected = num_masks * (HINTS_PER_TRAINED_MASK if graph == TRAINING else 1)
    if summary.num_sparsity_hints != expected:
        return plain_failure(
            f"the {graph} graph tells the compiler of {summary.num_sparsity_hints} sparse "
            f"tensors, expected {expected} for {num_masks} masks among "
            f"{len(kept_weights(params))} matrices"
        )
    return None


def plain_failure(message: str) -> dict[str, Any]:
    """A failure that no line of Python is responsible for."""
    return {
        "message": message,
        "operation": None,
        "location": None,
        "source": None,
        "hint": None,
        "needs_locations": False,
    }
