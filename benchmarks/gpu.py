"""What docs/gpu.md says was never run, in one go on a machine with a GPU.

    python benchmarks/gpu.py                     # about 10 minutes on one GPU
    python benchmarks/gpu.py --size large --steps 20

Prints: the losses of a tiny run on the GPU and on the CPU and how far they are apart; a run that is
stopped and goes on; for each setting of the engine torch (compile, activation checkpointing, batch
size) tokens a second, model FLOPs utilisation and memory. With several GPUs also the tiny run under
torchrun with NCCL against one GPU. Exit code 1 where an equality does not hold.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from mediswift_cs.sizes import SIZES
from mediswift_cs.tokens.hdf5 import ShardWriter

RUN = Path(__file__).resolve().parents[1] / "run.py"
# One setting a line: its name and what it overrides.
SETTINGS: dict[str, list[str]] = {
    "bfloat16": [],
    "activation checkpointing": ["trainer.init.torch.activation_checkpointing=true"],
    "compile": ["trainer.init.torch.compile=true"],
    "compile, activation checkpointing": [
        "trainer.init.torch.compile=true",
        "trainer.init.torch.activation_checkpointing=true",
    ],
    "float32 in TF32": ["trainer.init.torch.tf32=true", "trainer.init.precision.enabled=false"],
}


def write_shards(folder: Path, num_samples: int, length: int, vocab_size: int) -> Path:
    """Sequences that can be learned: each token follows from the one before it."""
    folder.mkdir(parents=True)
    first = np.random.default_rng(0).integers(0, vocab_size, size=(num_samples, 1))
    stream = ((first + 3 * np.arange(length + 1)) % vocab_size).astype(np.int32)
    samples = np.stack([stream[:, :-1], np.ones_like(stream[:, 1:]), stream[:, 1:]], axis=1)
    writer = ShardWriter(folder, max_sequence_length=length, samples_per_shard=256, attributes={})
    writer.write(samples)
    writer.close()
    return folder


def params(size: str, data: Path, batch_size: int, num_steps: int) -> dict[str, Any]:
    """A params file of a published size, 75 % sparse, on stand-in data."""
    model = SIZES[size]
    return {
        "trainer": {
            "init": {
                "model": {
                    "name": "mediswift",
                    "vocab_size": model.vocab_size,
                    "hidden_size": model.hidden_size,
                    "num_hidden_layers": model.num_hidden_layers,
                    "num_heads": model.num_heads,
                    "filter_size": 4 * model.hidden_size,
                    "max_position_embeddings": model.max_position_embeddings,
                    "dropout_rate": 0.0,
                    "attention_dropout_rate": 0.0,
                },
                "sparsity": {"sparsity": 0.75},
                "optimizer": {"AdamW": {"betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}},
                "schedulers": [{"ConstantLR": {"learning_rate": 1e-4}}],
                "precision": {"enabled": True, "max_gradient_norm": 1.0},
                "loop": {"max_steps": num_steps, "eval_frequency": 0},
                "checkpoint": {"steps": num_steps},
                "logging": {"log_steps": 1},
                "seed": 1,
            },
            "fit": {
                "train_dataloader": {
                    "data_processor": "MediSwiftPretrainingDataProcessor",
                    "data_dir": str(data),
                    "batch_size": batch_size,
                }
            },
        }
    }


class Bench:
    """Runs in a folder that goes when this ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures: list[str] = []

    def run(
        self, raw: dict[str, Any], name: str, device: str, *overrides: str, num_ranks: int = 1
    ) -> list[dict[str, float]]:
        """The lines of metrics.jsonl; none where the run ends with an error, which is shown."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(raw))
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}"]
        model_dir = self.folder / name
        command = [
            sys.executable,
            *(launcher if num_ranks > 1 else []),
            *(str(RUN), device, "--params", str(file), "--mode", "train"),
            *("--model_dir", str(model_dir), "--engine", "torch"),
            *(part for override in overrides for part in ("--set", override)),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            self.failures.append(name)
            print(f"{name}: exit code {result.returncode}\n{result.stderr[-2000:]}", flush=True)
            return []
        lines = (model_dir / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def check(self, what: str, difference: float, allowed: float) -> None:
        """Print how far two runs are apart; more than ``allowed`` is a failure."""
        print(f"{what}: {difference:.2e} apart, allowed {allowed:.0e}", flush=True)
        if not difference <= allowed:
            self.failures.append(what)

    def equalities(self) -> None:
        """GPU and CPU in float32, stopped and continued, one and several GPUs."""
        data = write_shards(self.folder / "tiny_data", 512, 256, 4096)
        raw = params("tiny", data, 8, 30)
        exact = "trainer.init.precision.enabled=false"
        whole = self.run(raw, "gpu", "GPU", exact)
        on_cpu = self.run(raw, "cpu", "CPU", exact)
        self.check("GPU and CPU, 30 steps", distance(whole, on_cpu), 1e-3)
        self.run(raw, "parts", "GPU", exact, "trainer.init.loop.max_steps=15")
        parts = self.run(raw, "parts", "GPU", exact)
        self.check("in one run and in two", distance(whole, parts), 1e-6)
        num_ranks = torch.cuda.device_count()
        if num_ranks > 1 and 8 % num_ranks == 0:
            several = self.run(raw, "several", "GPU", exact, num_ranks=num_ranks)
            self.check(f"one GPU and {num_ranks}", distance(whole, several), 1e-4)
        else:
            print(f"several GPUs: not run, {num_ranks} here", flush=True)

    def speeds(self, size: str, batch_size: int, num_steps: int) -> None:
        """One line a setting; the first half of the steps warms up."""
        length, vocab_size = SIZES[size].max_position_embeddings, SIZES[size].vocab_size
        data = write_shards(self.folder / f"speed_{size}_data", 256, length, vocab_size)
        raw = params(size, data, batch_size, num_steps)
        for name, overrides in SETTINGS.items():
            lines = self.run(raw, name.replace(", ", "_"), "GPU", *overrides)
            if not lines:
                continue
            late = lines[len(lines) // 2 :]
            rate = sum(line["tokens_per_second"] for line in late) / len(late)
            used = late[-1].get("model_flops_utilization")
            told = "peak not known" if used is None else f"utilisation {used:.1%}"
            print(
                f"{size}, batch {batch_size}, {name}: {rate:,.0f} tokens/s, {told}, "
                f"{late[-1]['gpu_memory_gib']:.1f} GiB, loss {late[-1]['loss']:.4f}",
                flush=True,
            )


def distance(first: list[dict[str, float]], second: list[dict[str, float]]) -> float:
    """The largest difference of losses; infinite where one run has none."""
    if not first or len(first) != len(second):
        return float("inf")
    return max(abs(a["loss"] - b["loss"]) for a, b in zip(first, second, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="med", choices=list(SIZES), help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="of each setting (%(default)s)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: torch finds no CUDA device here", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        bench.equalities()
        bench.speeds(args.size, args.batch_size, args.steps)
    print("failed: " + "; ".join(bench.failures) if bench.failures else "all ran")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
