"""The input of a compile check: what one traced batch does not show of it, and a stand-in."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mediswift_cs.data.cluster import ClusterDataLoader, PaddedDataset
from mediswift_cs.data.processors import create_dataloader
from mediswift_cs.errors import DataError
from mediswift_cs.params.dataloader import PROMPT_PROCESSOR
from mediswift_cs.params.schema import DataLoaderParams, Params
from mediswift_cs.tokens.hdf5 import ShardWriter

# What a worker of a cluster does first: no state of this process, only what can be imported.
WORKER_PROGRAM = """
import pickle, sys
function, arguments = pickle.load(sys.stdin.buffer)
assert callable(function), function
assert all(isinstance(argument, dict) for argument in arguments), arguments
"""


class ImportCheck:
    """A fresh interpreter that unpickles the input function, beside the tracing.

    ``function`` must be importable by name and ``arguments`` plain data, so that the workers of a
    cluster, which share nothing with this process, can call it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: list[dict[str, Any]],
        python_paths: Sequence[str],
    ) -> None:
        """``python_paths`` are the folders that the cluster puts on its workers' path."""
        self.error: str | None = None
        self.process: subprocess.Popen[bytes] | None = None
        try:
            payload = pickle.dumps((function, arguments))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self.error = f"the input function cannot be pickled: {error}"
            return
        stdin = tempfile.TemporaryFile()  # noqa: SIM115
        stdin.write(payload)
        stdin.seek(0)
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        # The interpreter starts in another folder.
        paths = [str(Path(path).resolve()) for path in (*python_paths, *inherited) if path]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER_PROGRAM],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=tempfile.gettempdir(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        stdin.close()

    def finish(self) -> str | None:
        """Wait for the interpreter; returns what is wrong, or None."""
        if self.process is not None:
            _, stderr = self.process.communicate()
            if self.process.returncode != 0:
                lines = stderr.decode(errors="replace").strip().splitlines() or ["no message"]
                self.error = f"the input function cannot be imported by a worker: {lines[-1]}"
        return self.error


class Tail(Dataset[Any]):
    """The last samples of a dataset."""

    def __init__(self, dataset: Any, num_samples: int) -> None:
        self.dataset = dataset
        self.num_samples = min(num_samples, len(dataset))

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> Any:
        return self.dataset[len(self.dataset) - self.num_samples + index]

    def padding_sample(self) -> Any:
        """What fills up the last batch."""
        return self.dataset.padding_sample()


def check_batches(config: DataLoaderParams) -> dict[str, Any]:
    """Read the end of the data, one batch and the sample after it, as a run on CSX would.

    Returns the shape of each feature and what becomes of the incomplete last batch.

    Raises:
        DataError: two batches differ in shape, or something is not int32.
    """
    padded = create_dataloader(config.model_dump()).dataset
    assert isinstance(padded, PaddedDataset)
    loader = ClusterDataLoader(
        Tail(padded.dataset, config.batch_size + 1),
        identity={},
        batch_size=config.batch_size,
        shuffle=False,
        seed=0,
        drop_last=config.drop_last,
    )
    batches = list(loader)
    check_uniform(batches)
    return {
        "shapes": {name: list(tensor.shape) for name, tensor in batches[0].items()},
        "last_batch": "left out" if config.drop_last else "filled up with samples of no weight",
    }


def check_uniform(batches: Sequence[Mapping[str, Tensor]]) -> None:
    """Raise DataError unless all batches have the same int32 features of the same shapes."""
    first = batches[0]
    for batch in batches:
        for name, tensor in batch.items():
            if tensor.dtype != torch.int32:
                raise DataError(
                    f"{name} of a batch for CSX must be int32, got {tensor.dtype}: other widths "
                    f"do not compile"
                )
            if tensor.shape != first[name].shape:
                raise DataError(
                    f"every batch for CSX must have the same shape, got {name} "
                    f"{list(first[name].shape)} and {list(tensor.shape)}"
                )


def write_stand_in_shards(folder: Path, loader: DataLoaderParams, params: Params) -> Path:
    """Write one batch and one sample more, so that the last batch is an incomplete one.

    A graph depends on shapes and number formats only: every token is 0.
    """
    model = params.trainer.init.model
    length = loader.max_sequence_length or model.max_position_embeddings
    attributes: dict[str, Any] = {"vocab_size": model.vocab_size}
    if loader.tokenizer_sha256 is not None:
        attributes["tokenizer_sha256"] = loader.tokenizer_sha256
    if loader.data_processor == PROMPT_PROCESSOR:
        prompt = model.soft_prompt
        attributes["num_virtual_tokens"] = 0 if prompt is None else prompt.num_virtual_tokens
        attributes["soft_prompt_position"] = "prefix" if prompt is None else prompt.position
    folder.mkdir(parents=True, exist_ok=True)
    num_samples = loader.batch_size + 1
    writer = ShardWriter(
        folder,
        max_sequence_length=length,
        samples_per_shard=num_samples,
        attributes=attributes,
    )
    samples = np.zeros((num_samples, 3, length), dtype=np.int32)
    samples[:, 1] = 1
    writer.write(samples)
    writer.close()
    return folder
