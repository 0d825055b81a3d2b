"""``--validate_only``: does the real step compile for a CS-2? Needs no cluster, network or data.

The front end of the compiler runs in a process of its own (trace.py). This side imports no torch:
it checks what one traced batch does not show, watches memory, and judges what came out.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs.csx.cirh import GraphSummary, hints_per_mask, summarise
from mediswift_cs.csx.cluster_settings import check_cluster_settings
from mediswift_cs.csx.watched_trace import (
    EVALUATION,
    LOG_FILE,
    REQUEST_FILE,
    TRACE_COMMAND,
    TRAINING,
    PeakMemory,
    clear_outputs,
    run_trace,
)
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.params import rules
from mediswift_cs.params.data_rules import check_dataloader
from mediswift_cs.params.load import LoadedParams, fingerprint
from mediswift_cs.params.run_options import Mode, trains, writing_to
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.params.training_cost import kept_weights, sparse_groups


@dataclass(kw_only=True)
class Verdict:
    """What a validation found.

    Attributes:
        failure: message, operation, location, source and hint; None for a pass.
        params_sha256: fingerprint of the params that were judged, overrides included.
        trace: what the tracing process says: data, batches, num_parameters, cerebras_pytorch.
        artifacts: path below the folder of the validation -> path.
    """

    failure: dict[str, Any] | None = None
    params_sha256: str = ""
    graphs: dict[str, GraphSummary] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)
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
    dataloaders = graphs_of_mode(params, mode)
    problems = list(check_cluster_settings(params))
    for path, loader in rules.dataloaders(params):
        if loader in dataloaders.values() and loader.is_there:
            problems += check_dataloader(params.trainer.init.model, path, loader)
    if problems:
        raise ConfigError("\n".join(problem.line(loaded.source.name) for problem in problems))
    folder = make_artifact_dir(model_dir, loaded.source.stem)
    request = {
        "params": loaded.raw,
        "artifact_dir": str(folder),
        "dataloaders": {graph: loader.model_dump() for graph, loader in dataloaders.items()},
    }
    (folder / REQUEST_FILE).write_text(json.dumps(request))
    with PeakMemory() as memory:
        # Source locations make the graphs four times larger, so only a failure pays for them.
        result = run_trace(folder, trace_command, on_stage, with_locations=False)
        verdict = judge(result, list(dataloaders), loaded, folder)
        if verdict.failure and verdict.failure.get("needs_locations"):
            clear_outputs(folder)
            on_stage("compiling again to find the line of the failure")
            result = run_trace(folder, trace_command, on_stage, with_locations=True)
            verdict = judge(result, list(dataloaders), loaded, folder)
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
    if trains(mode):
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


def make_artifact_dir(model_dir: Path, name: str) -> Path:
    """A new folder for what the compiler writes: of this process alone, whoever else validates."""
    started = time.strftime("%Y%m%d_%H%M%S")
    # Process numbers alone come again: in containers each run may have the same one.
    own = f"{started}-{os.getpid()}-{secrets.token_hex(4)}"
    folder = model_dir.resolve() / "validate_only" / name / own
    with writing_to(model_dir):
        folder.mkdir(parents=True)
    return folder


def judge(
    result: dict[str, Any], graphs: Sequence[str], loaded: LoadedParams, folder: Path
) -> Verdict:
    """The verdict on what tracing left; a pass needs evidence for each of ``graphs``.

    Raises:
        DataError: the trace calls the data or a setting wrong.
    """
    if "wrong_input" in result:
        raise DataError(result["wrong_input"])
    verdict = Verdict(
        failure=result.get("failure") or _failure_unsaid(result, folder),
        params_sha256=fingerprint(loaded.raw),
        trace={
            key: result.get(key)
            for key in ("data", "batches", "num_parameters", "cerebras_pytorch")
        },
        artifacts={
            path.relative_to(folder).as_posix(): str(path)
            for path in sorted([*folder.glob("executors/0*/*.mlir"), folder / LOG_FILE])
        },
    )
    for graph in graphs:
        if verdict.failure is None:
            cirh = Path(result.get("graphs", {}).get(graph, "none")) / "cirh.mlir"
            verdict.failure = _check_graph(verdict, graph, cirh, loaded.params, folder / LOG_FILE)
    if verdict.failure is None and result.get("params_sha256") != verdict.params_sha256:
        verdict.failure = _plain_failure(
            f"the compiler read other params than those that were asked for: got sha256 "
            f"{result.get('params_sha256')}, allowed: {verdict.params_sha256}"
        )
    return verdict


def _failure_unsaid(result: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """What is wrong with a trace that did not say so itself."""
    status = result["status"]
    if status != 0:
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        where = result.get("stage", "starting")
        lines = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        return _plain_failure(f"the compiler ended with {how} while {where}{last}")
    if result.get("import_error"):
        return _plain_failure(result["import_error"])
    return None


def _check_graph(
    verdict: Verdict, graph: str, cirh: Path, params: Params, log: Path
) -> dict[str, Any] | None:
    """Take the graph into the verdict; it must be one of the model that was asked for."""
    if not cirh.is_file() or cirh.stat().st_size == 0:
        return _plain_failure(
            f"the compiler wrote no CIRH for the {graph} graph ({cirh} is empty or missing), "
            f"although it reported success; see {log}"
        )
    summary = verdict.graphs[graph] = summarise(cirh)
    if summary.num_operations == 0:
        return _plain_failure(f"the {graph} graph has no operation")
    # Every sparse weight is in it.
    num_masks = sum(group.num_matrices for group in sparse_groups(params))
    expected = num_masks * hints_per_mask(params, trains=graph == TRAINING)
    if summary.num_sparsity_hints != expected:
        return _plain_failure(
            f"the {graph} graph tells the compiler of {summary.num_sparsity_hints} sparse "
            f"tensors, allowed: {expected} for {num_masks} masks among "
            f"{len(kept_weights(params))} matrices"
        )
    return None


def _plain_failure(message: str) -> dict[str, Any]:
    """A failure that no line of Python is responsible for."""
    unknown = ("operation", "location", "source", "hint")
    return {"message": message, **dict.fromkeys(unknown), "needs_locations": False}
