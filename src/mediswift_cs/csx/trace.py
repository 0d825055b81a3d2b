"""Trace and lower one params file for CSX, in a process of its own.

``python -m mediswift_cs.csx.trace REQUEST RESULT`` reads a request (JSON) and writes
what it found (JSON). A process has one backend, and tracing leaves torch patched, so this is never
done inside a program that goes on. Run through :mod:`mediswift_cs.csx.check`.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cerebras.pytorch as cstorch
from torch import Tensor

from mediswift_cs.csx.failure import describe_failure
from mediswift_cs.csx.input import ImportCheck, check_batches, write_stand_in_shards
from mediswift_cs.csx.watched_trace import EVALUATION, TRAINING
from mediswift_cs.data.processors import create_dataloader
from mediswift_cs.errors import ConfigError, MediSwiftError
from mediswift_cs.params.load import fingerprint
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.storage.parent import end_with_parent
from mediswift_cs.storage.write import write_json
from mediswift_cs.training.hosts.cerebras.backend import (
    after_step,
    batches,
    create_backend,
    make_dataloader,
)
from mediswift_cs.training.hosts.cerebras.session import Session

MakeSession = Callable[..., Session]


class Result:
    """What is known so far; kept in a file, because the compiler may take the process with it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.data: dict[str, dict[str, Any]] = {"graphs": {}, "data": {}, "batches": {}}
        self.values: dict[str, Any] = {"cerebras_pytorch": cstorch.__version__}
        self.enter("starting")

    def enter(self, stage: str) -> None:
        """Note which step of the compilation begins, for who watches it."""
        self.values["stage"] = stage
        self.write()

    def write(self) -> None:
        """Replace the file, which is read while this goes on."""
        write_json(self.file, {**self.data, **self.values}, indent=None)


def trace(request: dict[str, Any], result: Result, make_session: MakeSession) -> None:
    """Trace and compile the graphs that the request names."""
    params = Params.model_validate(request["params"])
    result.values["params_sha256"] = fingerprint(request["params"])
    folder = Path(request["artifact_dir"])
    loaders = {
        graph: dataloader_params(raw, graph, params, folder, result)
        for graph, raw in request["dataloaders"].items()
    }
    cluster = params.trainer.init.backend.cluster_config
    import_check = ImportCheck(
        create_dataloader,
        [loader.model_dump() for loader in loaders.values()],
        (cluster.python_paths if cluster is not None else None) or [],
    )
    backend_params = params.trainer.init.backend.model_copy(
        update={"validate_only": True, "compile_only": False}
    )
    try:
        create_backend("CSX", backend_params, folder)
    except (TypeError, ValueError) as error:
        import_check.finish()
        raise ConfigError(f"trainer.init.backend.cluster_config: {error}") from error
    # The compiler leaves a file of a failure in the working directory, which others share.
    os.chdir(folder)
    try:
        result.enter("building the model")
        session = make_session(params, for_training=TRAINING in loaders)
        result.values["num_parameters"] = sum(p.numel() for p in session.model.parameters())
        for number, (graph, loader) in enumerate(loaders.items(), start=1):
            result.enter(f"reading batches for the {graph} graph")
            result.data["batches"][graph] = check_batches(loader)
            result.enter(f"compiling the {graph} graph")
            run_one_step(session, graph, loader)
            result.data["graphs"][graph] = str(folder / "executors" / f"{number:06d}")
    finally:
        result.values["import_error"] = import_check.finish()


def dataloader_params(
    raw: dict[str, Any], graph: str, params: Params, folder: Path, result: Result
) -> DataLoaderParams:
    """The params of the graph's data, with shards of the same shape where there are none."""
    loader = DataLoaderParams(**raw)
    # Worker processes would share the patched torch; one batch needs none.
    data_dirs = [str(Path(data_dir).absolute()) for data_dir in loader.data_dirs]
    loader = loader.model_copy(update={"num_workers": 0, "data_dir": data_dirs})
    if loader.is_there:
        result.data["data"][graph] = "read"
        return loader
    result.data["data"][graph] = "synthetic"
    stand_in = write_stand_in_shards(folder / f"{graph}_stand_in_data", loader, params)
    return loader.model_copy(update={"data_dir": str(stand_in)})


def run_one_step(session: Session, graph: str, loader: DataLoaderParams) -> None:
    """Trace the loop's own step over one batch; lowering happens at its end."""

    # What the loop reads on the host is an output of the graph.
    @after_step
    def read_training(loss: Tensor, learning_rate: Tensor) -> None:
        raise AssertionError("nothing runs in a validation")

    @after_step
    def read_evaluation(loss: Tensor, num_tokens: Tensor) -> None:
        raise AssertionError("nothing runs in a validation")

    session.model.train(graph == TRAINING)
    if graph == EVALUATION:
        session.metrics.reset()
    for batch in batches(make_dataloader(loader), 1):
        if graph == TRAINING:
            read_training(session.training_step(batch, True), session.learning_rate)
        else:
            read_evaluation(*session.evaluation_step(batch))


def main(argv: Sequence[str], make_session: MakeSession = Session) -> int:
    """Returns 0 (lowered), 1 (does not) or 2 (wrong input); the result file says more."""
    request_file, result_file = map(Path, argv)
    request = json.loads(request_file.read_text())
    result = Result(result_file)
    try:
        trace(request, result, make_session)
        status = 0
    except MediSwiftError as error:
        result.values["wrong_input"] = str(error)
        status = 2
    # Whatever a model raises while it is traced is the answer to the question asked.
    except Exception as error:
        traceback.print_exc()
        result.values["failure"] = describe_failure(error, Path(request["artifact_dir"]))
        status = 1
    result.write()
    return status


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
