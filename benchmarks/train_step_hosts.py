"""Training steps of each host that train_step.py compares, one at a time when asked."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

BATCH, LENGTH, VOCAB = 2, 512, 50257
# Batch, length and vocabulary.
SHAPES = {"small": (BATCH, LENGTH, VOCAB), "tiny": (4, 16, 4096)}

MODEL = {
    "vocab_size": VOCAB,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_heads": 12,
    "filter_size": 3072,
    "max_position_embeddings": LENGTH,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
# 4 layers of 256, as the demo has, and few tokens: what a step costs beside its arithmetic.
TINY = {
    **MODEL,
    "vocab_size": 4096,
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_heads": 4,
    "filter_size": 1024,
    "max_position_embeddings": 256,
}
FILTERS = [
    "*proj_[qkv]_dense_layer.weight",
    "*proj_output_dense_layer.weight",
    "*linear_layer.weight",
]


@dataclass(frozen=True)
class Variant:
    """One side of a comparison."""

    host: str
    precision: str
    sparsity: float = 0.0
    allocator: str = "tuned"
    size: str = "small"

    @property
    def title(self) -> str:
        """How the tables call it."""
        masks = f" {self.sparsity:.0%} masks" if self.sparsity else ""
        size = f" {self.size}" if self.size != "small" else ""
        return f"{self.host} {self.precision}{size}{masks}, {self.allocator} malloc"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Batch, length and vocabulary."""
        return SHAPES[self.size]


def params(variant: Variant, folder: Path, num_steps: int) -> dict[str, Any]:
    """A params file for our loop and ModelZoo's."""
    loader = {
        "data_processor": "MediSwiftPretrainingDataProcessor",
        "data_dir": str(folder),
        "batch_size": variant.shape[0],
    }
    init: dict[str, Any] = {
        "backend": {"backend_type": "CPU"},
        "model_dir": str(folder / "model_dir"),
        "model": {"name": "mediswift", **(TINY if variant.size == "tiny" else MODEL)},
        "optimizer": {"AdamW": {"betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}},
        "schedulers": [{"ConstantLR": {"learning_rate": 1e-4}}],
        "precision": {
            "enabled": variant.precision == "bfloat16",
            "fp16_type": "bfloat16",
            "max_gradient_norm": 1.0,
        },
        "loop": {"max_steps": num_steps, "eval_frequency": 0},
        "logging": {"log_steps": 1},
        "seed": 1,
    }
    if variant.sparsity:
        init["sparsity"] = {"sparsity": variant.sparsity, "param_filter": FILTERS}
    return {"trainer": {"init": init, "fit": {"train_dataloader": loader}}}


def write_data(folder: Path, variant: Variant, num_steps: int) -> None:
    """Random shards."""
    from mediswift_cs.tokens.hdf5 import ShardWriter

    batch, length, vocab = variant.shape
    numbers = np.random.default_rng(0).integers(0, vocab, (batch * num_steps, length + 1))
    stream = numbers.astype(np.int32)
    samples = np.stack([stream[:, :-1], np.ones_like(stream[:, 1:]), stream[:, 1:]], axis=1)
    writer = ShardWriter(folder, max_sequence_length=length, samples_per_shard=1000, attributes={})
    writer.write(samples)
    writer.close()


class Meter:
    """Takes the time of steps: one for each line on standard input, its answer on ``answers``."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers, self._start = answers, 0.0

    def start(self) -> None:
        """Wait for the next line."""
        if not sys.stdin.readline():
            sys.exit(0)
        self._start = time.perf_counter()

    def stop(self, loss: float) -> None:
        """Answer with the seconds since start, the peak memory in GiB and the loss."""
        seconds = time.perf_counter() - self._start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps([seconds, peak, loss]), file=self._answers, flush=True)


def our_steps(variant: Variant, folder: Path, num_steps: int, meter: Meter) -> None:
    """Steps of this package on one of its hosts."""
    from mediswift_cs.params.run_options import RunOptions
    from mediswift_cs.params.schema import Params
    from mediswift_cs.training.start import make_host

    checked = Params(**params(variant, folder, num_steps))
    engine = "torch" if variant.host == "torch" else "cerebras"
    options = RunOptions(
        device="CPU", engine=engine, mode="train", model_dir=folder, checkpoint_path=None
    )
    host = make_host(checked, options, for_training=True)
    host.draw_masks()
    host.model.train()
    assert checked.trainer.fit is not None
    dataloader = host.make_dataloader(checked.trainer.fit.train_dataloader)
    for batches in host.updates(dataloader, num_steps, []):
        meter.start()
        meter.stop(float(host.update(batches).loss))


def huggingface_steps(variant: Variant, folder: Path, num_steps: int, meter: Meter) -> None:
    """Steps as a user of transformers writes them: sdpa, torch's AdamW, clipping."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=LENGTH,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        attn_implementation="sdpa",
    )
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
    )
    numbers = np.random.default_rng(0).integers(0, VOCAB, (num_steps, BATCH, LENGTH))
    for ids in torch.from_numpy(numbers):
        meter.start()
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.precision == "bfloat16"):
            loss = model(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        meter.stop(float(loss.detach()))


def modelzoo_steps(variant: Variant, folder: Path, num_steps: int, meter: Meter) -> None:
    """Steps of ModelZoo's own Trainer and GPT-3, as its users start them."""
    from mediswift_cs.modelzoo import register

    register()
    raw = params(variant, folder, num_steps)["trainer"]
    raw["init"]["model"] |= {
        "name": "gpt3",
        "position_embedding_type": "learned",
        "share_embedding_weights": True,
        "use_projection_bias_in_attention": True,
        "use_ffn_bias_in_attention": True,
        "use_ffn_bias": True,
        "embedding_dropout_rate": 0.0,
    }
    raw["fit"]["train_dataloader"]["data_processor"] = "GptHDF5MapDataProcessor"
    from cerebras.modelzoo.trainer.callbacks import Callback
    from cerebras.modelzoo.trainer.utils import run_trainer

    class Steps(Callback):
        def on_train_batch_start(self, trainer: Any, model: Any, batch: Any, batch_idx: int) -> Any:
            meter.start()

        def on_train_batch_end(
            self, trainer: Any, model: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            meter.stop(float(outputs["loss"].detach()))

    with Steps():
        run_trainer("train", {"trainer": raw})


HOSTS: dict[str, Callable[[Variant, Path, int, Meter], None]] = {
    "torch": our_steps,
    "cerebras": our_steps,
    "HF": huggingface_steps,
    "ModelZoo": modelzoo_steps,
}
