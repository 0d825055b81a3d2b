"""Time and memory of `mediswift convert` against a plain copy, and against ModelZoo's converter.

Builds a 75 % sparse float32 checkpoint of random numbers with cerebras-pytorch's own writer, then
takes turns: convert it, copy the weights of the result with an fsync. Each reads a file that is not
in memory. Prints the medians and both ratios. Everything it writes is removed at the end.

    python benchmarks/convert.py                 # med: 355.9M parameters, 1.4 GB
    python benchmarks/convert.py --size xl       # 1,315.7M parameters, 5.3 GB

Where cerebras.modelzoo is importable by --modelzoo-python, its `cszoo checkpoint convert` is a
third column.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.sizes import SIZES

COPY_BLOCK = 16 * 2**20
SPARSITY = 0.75


@dataclass
class Run:
    """One command: wall and CPU time in seconds, and its processes' peak resident bytes, added."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def build(path: Path, size_name: str) -> None:
    """Write the checkpoint; run in a process of its own, because it holds the model."""
    import cerebras.pytorch as cstorch
    import torch

    from mediswift_cs.params.decoder import ModelParams
    from mediswift_cs.params.weights import weights

    size = SIZES[size_name]
    section = {
        "name": "mediswift",
        "vocab_size": size.vocab_size,
        "hidden_size": size.hidden_size,
        "num_hidden_layers": size.num_hidden_layers,
        "num_heads": size.num_heads,
        "filter_size": size.filter_size,
        "max_position_embeddings": size.max_position_embeddings,
    }
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    for weight in weights(ModelParams(**section)):
        if weight.is_alias:
            original = {"model.lm_head.weight": "model.embedding_layer.word_embeddings.weight"}.get(
                weight.name, weight.name.replace("model.ln_f", "model.transformer_decoder.norm")
            )
            # A second object, as state_dict() makes it: it is stored twice.
            state[weight.name] = state[original].detach()
            continue
        state[weight.name] = torch.randn(weight.shape).mul_(0.02)
        if weight.kind == "projection":
            mask = torch.rand(weight.shape) >= SPARSITY
            state[weight.name] *= mask
            state[f"{weight.name}_mask"] = mask
    metadata = {
        "version": cstorch.__version__,
        "model_name": "MediSwiftModel",
        "params": {"trainer": {"init": {"model": section}}},
    }
    cstorch.save({"model": state, "global_step": 1000, "__metadata__": [metadata]}, str(path))


def children(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


def peak_bytes(pid: int) -> int:
    """The highest resident memory of one process so far; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


def measure(command: list[str]) -> Run:
    """Run a command and watch the memory of its processes."""
    peaks: dict[int, int] = {}
    started, cpu_before = time.perf_counter(), cpu_seconds_of_children()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            try:
                for pid in children(process.pid):
                    peaks[pid] = max(peaks.get(pid, 0), peak_bytes(pid))
            except OSError:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    return Run(seconds, cpu_seconds_of_children() - cpu_before, sum(peaks.values()))


def cpu_seconds_of_children() -> float:
    """Of all processes that have ended: says more than the clock on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def forget(path: Path) -> None:
    """Drop a file from the page cache, so that whoever reads it next reads the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def copy_and_sync(sources: list[Path], target: Path) -> float:
    """Seconds of a plain copy of the bytes, until they are on the disk."""
    target.mkdir()
    started = time.perf_counter()
    for source in sources:
        with source.open("rb") as reader, (target / source.name).open("wb") as writer:
            shutil.copyfileobj(reader, writer, COPY_BLOCK)
            writer.flush()
            os.fsync(writer.fileno())
    seconds = time.perf_counter() - started
    shutil.rmtree(target)
    return seconds


def modelzoo_command(python: str, source: Path, folder: Path) -> list[str] | None:
    """ModelZoo's converter on the same file; None where it is not importable."""
    probe = "import mediswift_cs.modelzoo, cerebras.modelzoo"
    if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode:
        return None
    import yaml

    from mediswift_cs.checkpoints.source import read_checkpoint

    section = read_checkpoint(source).architecture.to_model_params()
    section = {key: value for key, value in section.items() if value is not None}
    config = folder / "modelzoo_params.yaml"
    config.write_text(yaml.safe_dump({"model": {**section, "name": "gpt2"}}))
    command = [python, "-m", "mediswift_cs.modelzoo", "cszoo", "checkpoint", "convert"]
    command += ["--model", "gpt2", "--src-fmt", "cs-2.9", "--tgt-fmt", "hf", "--config"]
    command += [str(config), "--output-dir", str(folder / "modelzoo"), "--export-safetensors"]
    return [*command, "--drop-unmatched-keys", str(source)]


def cpu(runs: list[Run]) -> str:
    return f"{statistics.median(run.cpu_seconds for run in runs):.1f} s of CPU"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="med")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="a disk with four times the room of the model")
    parser.add_argument("--modelzoo-python", default=sys.executable)
    parser.add_argument(
        "--skip-modelzoo", action="store_true", help="it takes 3.5 times the model in memory"
    )
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build(args.build, args.size)
        return
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="mediswift-convert-") as name:
        compare(args, Path(name))


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Measure in turns and print."""
    source, target = folder / "checkpoint.mdl", folder / "export"
    print(f"building a {args.size} checkpoint ...", flush=True)
    build_command = [sys.executable, __file__, "--size", args.size, "--build", str(source)]
    subprocess.run(build_command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = [sys.executable, "-m", "mediswift_cs.checkpoints", str(source), str(target)]
    command += ["--no-tokenizer", "--no-verify"]
    ours: list[Run] = []
    copies: list[float] = []
    for _ in range(args.repeats):
        forget(source)
        ours.append(measure(command))
        files = sorted(target.glob("*.safetensors"))
        for file in files:
            forget(file)
        copies.append(copy_and_sync(files, folder / "copy"))
        num_bytes = sum(file.stat().st_size for file in files)
        shutil.rmtree(target)
    seconds = [run.seconds for run in ours]
    ratio = statistics.median(seconds) / statistics.median(copies)
    peak = max(run.peak_bytes for run in ours)
    print(f"checkpoint: {source.stat().st_size:,} bytes (LZ4), weights: {num_bytes:,} bytes")
    memory = f"peak memory {peak / 1e9:.2f} GB (all processes)"
    print(f"mediswift convert:   {spread(seconds)}, {cpu(ours)}, {memory}")
    print(f"plain copy + fsync:  {spread(copies)}")
    print(f"ratio to the copy:   {ratio:.2f} (allowed 2, goal 1.5)")
    if args.skip_modelzoo:
        print("ModelZoo's converter: NOT MEASURED, as asked")
        return
    peer = modelzoo_command(args.modelzoo_python, source, folder)
    if peer is None:
        print("ModelZoo's converter: NOT MEASURED, cerebras.modelzoo is not importable")
        return
    theirs = []
    for _ in range(args.repeats):
        forget(source)
        theirs.append(measure(peer))
        shutil.rmtree(folder / "modelzoo")
    their_seconds = [run.seconds for run in theirs]
    their_peak = max(run.peak_bytes for run in theirs)
    memory = f"peak memory {their_peak / 1e9:.2f} GB"
    print(f"ModelZoo's converter: {spread(their_seconds)}, {cpu(theirs)}, {memory}")
    speedup = statistics.median(their_seconds) / statistics.median(seconds)
    print(f"mediswift is {speedup:.1f} times as fast with {peak / their_peak:.2f} of the memory")


if __name__ == "__main__":
    main()
