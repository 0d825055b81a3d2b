"""The tracing program with a model that must not compile: ``broken_trace.py KIND REQUEST RESULT``.

Each kind breaks a rule of CSX in one line of a model's forward pass.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mediswift_cs.csx import trace
from mediswift_cs.model import finetuning
from mediswift_cs.training.hosts.cerebras import backend, session

KIND = sys.argv[1]


class BrokenModel(finetuning.MediSwiftModel):
    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        loss = super().forward(batch)
        weight = self.model.lm_head.weight
        if KIND == "no_lowering":
            return loss + torch.erfinv(weight).sum()
        if KIND == "branch":
            return loss * 2 if loss > 3 else loss  # a Python branch on a value of the graph
        if KIND == "item":
            return loss * loss.item()
        if KIND == "boolean_index":
            return loss + weight[weight > 0].sum()
        if KIND == "wrong_shape":
            return loss + torch.matmul(weight, weight).sum()
        if KIND == "conv1d":
            kernel = self.model.transformer_decoder.layers[0].norm1.weight[None, None, :3]
            return loss + functional.conv1d(weight[:, None, :], kernel).sum()
        if KIND == "float64":
            return loss + weight.double().sum()
        if KIND == "crash":
            os.abort()
        return loss


class DropsMasks(session.Session):
    """Trains a sparse file as if it were dense."""

    def __init__(self, params: Any, **kwargs: Any) -> None:
        init = params.trainer.init.model_copy(update={"sparsity": None})
        trainer = params.trainer.model_copy(update={"init": init})
        super().__init__(params.model_copy(update={"trainer": trainer}), **kwargs)


def call_the_wrapper(folder: Path) -> None:
    """Let torch-cirh-opt be one that fails and exits with 0, as pip's script of the name does."""
    native = shutil.which("torch-cirh-opt")
    assert native is not None
    assert "cerebras/pytorch/lib" in native, "the native compiler is not first on PATH"
    folder.mkdir()
    script = folder / "torch-cirh-opt"
    script.write_text(f'#!/bin/sh\n{native} "$@"\nexit 0\n')
    script.chmod(0o755)
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


def main() -> int:
    session.build_model = BrokenModel  # type: ignore[assignment]
    if KIND == "dropped_masks":
        return trace.main(sys.argv[2:], DropsMasks)
    if KIND == "other_params":
        trace.fingerprint = lambda raw: "0" * 64  # type: ignore[assignment]
    if KIND == "swallowed_status":
        # An operation that does not lower, and a compiler that does not say so.
        globals()["KIND"] = "no_lowering"
        put_first = backend.put_native_compiler_first

        def put_wrapper_first() -> None:
            put_first()
            call_the_wrapper(Path(sys.argv[3]).parent / "wrapper")

        backend.put_native_compiler_first = put_wrapper_first
    return trace.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
