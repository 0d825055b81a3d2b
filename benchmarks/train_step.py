"""Training throughput against Hugging Face's GPT-2, and against ModelZoo where it can be imported.

    python benchmarks/train_step.py              # all comparisons, about 10 minutes on 2 cores
    python benchmarks/train_step.py --steps 3 --only float32

Two processes at a time, each with one model, take steps in turn (A B A B ...), so that a machine
that slows down slows both. Printed are medians and the ratio of tokens/s, A over B; then the peak
memory. hidden 768 x 12 layers, 12 heads, vocabulary 50,257, batch 2 x 512 tokens, AdamW, clipping
at 1.0. "tuned" is the allocator setting of run.py, "default" is glibc's own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import astuple, replace
from pathlib import Path

from train_step_hosts import HOSTS, Meter, Variant, write_data


def work(variant: Variant, num_steps: int) -> None:
    """Take the steps of one variant as standard input asks for them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, variant, num_steps)
        HOSTS[variant.host](variant, folder, num_steps, Meter(answers))


class Worker:
    """A process that takes steps when asked."""

    def __init__(self, variant: Variant, num_steps: int) -> None:
        from mediswift_cs.tuning import ALLOCATOR_SETTINGS

        environment = {k: v for k, v in os.environ.items() if k not in ALLOCATOR_SETTINGS}
        if variant.allocator == "tuned":
            environment |= ALLOCATOR_SETTINGS
        self.variant = variant
        self.seconds: list[float] = []
        self.peak_gib = 0.0
        arguments = [str(value) for value in astuple(variant)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", *arguments, "--steps", str(num_steps)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def step(self, counts: bool) -> None:
        """Take one step; the first ones warm up and do not count."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.variant.title}: the process ended early")
        seconds, self.peak_gib, _loss = json.loads(line)
        if counts:
            self.seconds.append(seconds)

    def finish(self) -> None:
        """End the process."""
        self.process.stdin.close() if self.process.stdin else None
        self.process.wait()


def compare(first: Variant, second: Variant, num_steps: int, target: str) -> None:
    """Steps in turn; prints one line."""
    warm_up = 2
    workers = [Worker(first, num_steps + warm_up), Worker(second, num_steps + warm_up)]
    for index in range(num_steps + warm_up):
        for worker in workers:
            worker.step(counts=index >= warm_up)
    for worker in workers:
        worker.finish()
    a, b = workers
    ratios = [there / here for here, there in zip(a.seconds, b.seconds, strict=True)]
    medians = [statistics.median(w.seconds) for w in workers]
    batch, length, _ = first.shape
    print(
        f"{first.title:38} {medians[0]:6.3f} s {batch * length / medians[0]:6.0f} tokens/s "
        f"{a.peak_gib:5.2f} GiB | {second.title:38} {medians[1]:6.3f} s {b.peak_gib:5.2f} GiB | "
        f"tokens/s ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), "
        f"memory ratio {a.peak_gib / b.peak_gib:.2f}; target: {target}",
        flush=True,
    )


def comparisons() -> list[tuple[str, Variant, Variant, str]]:
    """Name, A, B, what is aimed at."""
    rows = []
    for precision in ("float32", "bfloat16"):
        ours = Variant("torch", precision)
        rows += [
            (precision, ours, Variant("HF", precision), "at least 1.05, memory at most 0.9"),
            (precision, ours, Variant("HF", precision, allocator="default"), "at least 1.1"),
            (precision, ours, Variant("cerebras", precision), "at least 1.0"),
            (precision, Variant("torch", precision, 0.75), ours, "at least 0.90"),
        ]
    tiny = Variant("torch", "float32", size="tiny")
    rows.append(("tiny", tiny, replace(tiny, host="cerebras"), "at least 2"))
    try:
        import cerebras.modelzoo  # noqa: F401
    except ImportError:
        print("cerebras.modelzoo cannot be imported: put its src on PYTHONPATH for its column")
    else:
        for precision in ("float32", "bfloat16"):
            modelzoo = Variant("ModelZoo", precision, allocator="default")
            rows.append((precision, Variant("torch", precision), modelzoo, "goal 1.3"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=7, help="counted steps (default: %(default)s)")
    parser.add_argument("--only", default="", help="comparisons whose line contains this text")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        host, precision, sparsity, allocator, size = args.worker
        work(Variant(host, precision, float(sparsity), allocator, size), args.steps)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    for name, first, second, target in comparisons():
        if args.only in f"{name} {first.title} {second.title}":
            compare(first, second, args.steps, target)


if __name__ == "__main__":
    main()
