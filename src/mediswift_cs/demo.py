"""The demo: each step is a command that a user could type, run in turn, then a summary."""

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 (registers the filters of compressed checkpoints)
import numpy as np

from mediswift_cs.endings import signals_put_off
from mediswift_cs.errors import (
    INTERRUPTED_EXIT_CODE,
    JOB_FAILED_EXIT_CODE,
    ConfigError,
    DataError,
    MediSwiftError,
)
from mediswift_cs.params.load import load_params
from mediswift_cs.storage.write import write_json
from mediswift_cs.tasks.json_input import read_json_object
from mediswift_cs.tokens.manifest import Manifest, read_manifest

# Also where ModelZoo is importable: its Trainer keeps its records in other files.
RUN = ("run", "CPU", "--engine", "builtin")

TIMES_FILE = "times.json"
FINETUNING_PARAMS = "finetuning/mediswift_tiny_artificial.yaml"


class DemoStepError(MediSwiftError):
    """A step of the demo failed; its own message stands above, its exit code is the demo's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        # A step that a signal has killed has a negative one.
        self.exit_code = exit_code if exit_code > 0 else JOB_FAILED_EXIT_CODE


@dataclass(kw_only=True)
class Demo:
    """The run of the demo in one folder."""

    output: Path
    level: str
    num_records: int
    max_steps: int | None
    finetuning_steps: int | None
    source: Path | None
    times: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Where each result lies, and which shipped params file is trained."""
        self.documents = self.output / "documents.jsonl.zst"
        self.tokenizer = self.output / "tokenizer.json"
        self.shards = self.output / "shards"
        self.model_dir = self.output / f"pretraining_{self.level}"
        self.questions = self.output / "questions"
        self.finetuning_dir = self.output / f"finetuning_{self.level}"
        self.scores = self.output / f"scores_{self.level}"
        self.params = f"mediswift_tiny_{self.level}.yaml"

    @property
    def export(self) -> Path:
        """The Hugging Face folder of the newest fine-tuned checkpoint."""
        return (
            self.output / f"huggingface_{self.level}_{newest_checkpoint(self.finetuning_dir).stem}"
        )

    def run(self) -> int:
        """Run every step and print the summary; returns the exit code."""
        if self.num_records < 1:
            raise ConfigError(f"--num-records: got {self.num_records}, allowed: 1 or more")
        # Before the first step and not after minutes: what the runs will say of their steps.
        loaded = load_params(self.params, _set_steps(self.max_steps), check_data="none")
        load_params(FINETUNING_PARAMS, _set_steps(self.finetuning_steps), check_data="none")
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--output: cannot make {self.output}: {error.strerror}") from error
        self.times = read_times(self.output / TIMES_FILE)
        model = loaded.params.trainer.init.model
        records = [str(self.source)] if self.source else ["--sample"]
        limit = ["--limit", str(self.num_records)]
        self.step("documents", "documents", *records, *limit, "--output", str(self.documents))
        self.step(
            "tokenizer",
            *("tokenizer", str(self.documents), "--vocab-size", str(model.vocab_size)),
            *("--output", str(self.tokenizer)),
        )
        self.step(
            "shards",
            *("shards", str(self.documents), "--tokenizer", str(self.tokenizer)),
            *("--max-sequence-length", str(model.max_position_embeddings)),
            *("--output", str(self.shards)),
        )
        self.step(f"pretraining_{self.level}", *RUN, *self.pretraining_options())
        self.finetune(model.max_position_embeddings)
        print("\n" + self.summary())
        return 0

    def finetune(self, max_sequence_length: int) -> None:
        """Dense fine-tuning with a soft prompt on questions made of the same records; scores."""
        if not self.questions.exists():
            self.step(
                "questions",
                *("pubmedqa", "artificial", str(self.documents), "--matching"),
                *("--tokenizer", str(self.tokenizer)),
                *("--max-sequence-length", str(max_sequence_length)),
                *("--output", str(self.questions)),
            )
        self.step(f"finetuning_{self.level}", *RUN, *self.finetuning_options())
        tuned = newest_checkpoint(self.finetuning_dir)
        self.step(
            f"scores_{self.level}",
            *("evaluate", "--task", "artificial", "--data", str(self.questions)),
            *("--checkpoint", str(tuned), "--split", "val", "--output", str(self.scores)),
        )
        if not self.export.exists():
            self.step(
                f"huggingface_{self.level}",
                *("convert", str(tuned), str(self.export), "--tokenizer", str(self.tokenizer)),
            )

    def finetuning_options(self) -> list[str]:
        """The options of the fine-tuning run: the sparse weights, made dense."""
        options = ["--params", FINETUNING_PARAMS, "--model_dir", str(self.finetuning_dir)]
        options += ["--checkpoint_path", str(newest_checkpoint(self.model_dir))]
        overrides = _set_steps(self.finetuning_steps)
        for split in ("train", "val"):
            overrides.append(f"trainer.fit.{split}_dataloader.data_dir={self.questions / split}")
        return options + _set_options(overrides)

    def pretraining_options(self) -> list[str]:
        """The options of the pre-training run."""
        fingerprint = read_manifest(self.shards).tokenizer.sha256
        overrides = _set_steps(self.max_steps)
        for split in ("train", "val"):
            loader = f"trainer.fit.{split}_dataloader"
            overrides.append(f"{loader}.data_dir={self.shards / split}")
            overrides.append(f"{loader}.tokenizer_sha256={fingerprint}")
        options = ["--params", self.params, "--model_dir", str(self.model_dir)]
        return options + _set_options(overrides)

    def step(self, name: str, *arguments: str) -> None:
        """Run ``mediswift ARGUMENTS`` in a process of its own and keep its time."""
        print(f"\n--- {name}: mediswift {shlex.join(arguments)}", flush=True)
        start = time.monotonic()
        command = [sys.executable, "-m", "mediswift_cs.cli", *arguments]
        process: subprocess.Popen[bytes] | None = None
        try:
            with signals_put_off():
                process = subprocess.Popen(command)
            code = process.wait()
        except KeyboardInterrupt:
            # The terminal sent it to the step as well, which may have a state to save.
            if process is not None:
                process.wait()
            code = INTERRUPTED_EXIT_CODE
        except SystemExit:
            if process is not None:
                process.terminate()
                process.wait()
            raise
        if code == INTERRUPTED_EXIT_CODE:
            raise DemoStepError(f"stopped during {name}; run the demo again to go on", code)
        if code != 0:
            raise DemoStepError(f"the step {name} ended with exit code {code}", code)
        self.keep_time(name, time.monotonic() - start)

    def keep_time(self, name: str, seconds: float) -> None:
        """Add to the time of a step: an interrupted step counts with all its parts."""
        # A step that finds its result already there takes a few seconds: the first time is told.
        if self.times.get(name, 0.0) < seconds:
            self.times[name] = seconds
        write_json(self.output / TIMES_FILE, self.times)

    def summary(self) -> str:
        """Where each result lies, how long it took, what was learned, and the real sparsity."""
        manifest = read_manifest(self.shards)
        checkpoint = newest_checkpoint(self.model_dir)
        scores = last_evaluation(self.model_dir / "metrics.jsonl")
        zeros, weights = count_zeros(checkpoint)
        unigram = manifest.splits["val"].unigram_loss
        assert unigram is not None
        rows = self.results(manifest, checkpoint, scores["step"])
        lines = ["--- summary"]
        for name, path, what in rows:
            lines.append(f"{name:16} {self.times[name]:6.0f} s  {what:44} {path}")
        lines += [
            f"{'total':16} {sum(self.times[name] for name, _, _ in rows):6.0f} s",
            "",
            f"held-out loss       {scores['val_loss']:.4f} nats per token, "
            f"perplexity {scores['val_perplexity']:.1f}",
            f"unigram model       {unigram:.4f} nats per token, perplexity {np.exp(unigram):.1f} "
            f"(token frequencies alone, on the same tokens)",
            f"zeros in the file   {zeros:,} of {weights:,} weights of the sparse layers = "
            f"{zeros / weights:.4%}",
            f"curves              tensorboard --logdir {self.model_dir / 'events'}",
        ]
        lines += ["", self.answers_line(), "", "three answers, generated by transformers alone:"]
        return "\n".join([*lines, *self.generated()])

    def results(
        self, manifest: Manifest, checkpoint: Path, num_steps: float
    ) -> list[tuple[str, Path, str]]:
        """Of each step its name, where its result lies, and what that is."""
        train, val = manifest.splits["train"], manifest.splits["val"]
        tuned = newest_checkpoint(self.finetuning_dir)
        tokens = f"{train.num_tokens:,} train and {val.num_tokens:,} held-out tokens"
        return [
            ("documents", self.documents, f"{train.num_documents + val.num_documents:,} documents"),
            ("tokenizer", self.tokenizer, f"{manifest.tokenizer.vocab_size:,} tokens"),
            ("shards", self.shards, tokens),
            (f"pretraining_{self.level}", checkpoint, f"{num_steps:.0f} steps"),
            ("questions", self.questions, "does a title belong to a text?"),
            (f"finetuning_{self.level}", tuned, "dense, with a soft prompt"),
            (f"scores_{self.level}", self.scores, "answers, scores, confusion matrix"),
            (f"huggingface_{self.level}", self.export, "for transformers"),
        ]

    def answers_line(self) -> str:
        """Accuracy on held-out questions with its interval and its baseline."""
        report = json.loads((self.scores / "scores.json").read_text())
        (low, high), baseline = report["interval_95"], report["baseline"]
        return (
            f"questions           accuracy {report['scores'][report['metric']]:.3f} "
            f"({low:.3f} to {high:.3f}, 95 %) on {report['num_items']} "
            f"held-out questions; always {baseline['answer']!r}: {baseline['score']:.3f}. "
            f"A model of this size is not expected to read."
        )

    def generated(self) -> list[str]:
        """The exported model's continuation of three held-out questions."""
        from mediswift_cs.checkpoints.generate_text import generate_text

        lines = (self.questions / "val.jsonl").read_text().splitlines()[:3]
        prompts = [question_prompt(json.loads(line)) for line in lines]
        texts = generate_text(self.export, prompts, max_new_tokens=24)
        return [
            f"  ...{text[len(prompt) - 60 :]}" for text, prompt in zip(texts, prompts, strict=True)
        ]


def _set_steps(num_steps: int | None) -> list[str]:
    """The override of the steps of a run, where they are given."""
    return [] if num_steps is None else [f"trainer.init.loop.max_steps={num_steps}"]


def _set_options(overrides: list[str]) -> list[str]:
    """Overrides as options of a run."""
    return [part for override in overrides for part in ("--set", override)]


def read_times(path: Path) -> dict[str, float]:
    """The seconds of the steps of earlier calls; DataError where the file is no such record."""
    times = read_json_object(path) if path.exists() else {}
    for name, seconds in times.items():
        if type(seconds) not in (int, float):
            raise DataError(f"{path}: {name}: got {seconds!r:.80}, allowed: a number of seconds")
    return times


def newest_checkpoint(model_dir: Path) -> Path:
    """The checkpoint of the latest step."""
    return max(model_dir.glob("checkpoint_*.mdl"), key=lambda path: int(path.stem.split("_")[1]))


def question_prompt(example: dict[str, str]) -> str:
    """A question with the start of its text, short enough for a tiny model."""
    return example["head"] + " " + " ".join(example["context"].split()[:60])


def last_evaluation(metrics: Path) -> dict[str, float]:
    """The last held-out scores of a run."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    scores: dict[str, float] = [line for line in lines if "val_loss" in line][-1]
    return scores


def count_zeros(checkpoint: Path) -> tuple[int, int]:
    """Zeros and weights of the matrices of the decoder layers, counted in the file."""
    zeros = weights = 0
    with h5py.File(checkpoint, "r") as file:
        for name, dataset in file.items():
            is_matrix = dataset.ndim == 2 and name.endswith(".weight")
            if name.startswith("model.") and ".layers." in name and is_matrix:
                values = dataset[()]
                weights += values.size
                zeros += values.size - int(np.count_nonzero(values))
    return zeros, weights
