"""The demo: each step is a command that a user could type, run in turn, then a summary."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from mediswift_cs.checkpoints.model_dir import newest_checkpoint
from mediswift_cs.demo_summary import Results, read_times, summary
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import LoadedParams, load_params
from mediswift_cs.steps import run_step
from mediswift_cs.storage.write import write_json
from mediswift_cs.tokens.manifest import read_manifest
from mediswift_cs.tuning import check_threads

# Also where ModelZoo is importable: its Trainer keeps its records in other files.
RUN = ("run", "CPU")
# The commands that compute on several threads.
COMPUTE_COMMANDS = ("run", "evaluate")

FINETUNING_PARAMS = "finetuning/mediswift_tiny_classification.yaml"
# NLM's indexers say of each article whether it is about people or animals.
LABELS = ("Humans", "Animals")
QUESTION = "Is this about people or animals?"
MAX_TRAIN, MAX_VAL = 1000, 300
# Also the share of the documents that the labels are tested on: none of them is pre-trained on.
HELD_OUT_FRACTION = 0.1


@dataclass(kw_only=True)
class Demo:
    """The run of the demo in one folder."""

    output: Path
    level: str
    num_records: int
    max_steps: int | None
    finetuning_steps: int | None
    source: Path | None
    seed: int | None = None
    num_threads: int | None = None
    times: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Where each result lies, and which shipped params file is trained."""
        self.results = Results(self.output, self.level)
        self.params = f"mediswift_tiny_{self.level}.yaml"

    def run(self) -> int:
        """Run every step and print the summary; returns the exit code."""
        if self.num_records < 1:
            raise ConfigError(f"--num-records: got {self.num_records}, allowed: 1 or more")
        check_threads(self.num_threads)
        # Before the first step and not after minutes: what the runs will say of their settings.
        loaded = load_params(self.params, self.overrides(self.max_steps), check_data="none")
        tuned = load_params(
            FINETUNING_PARAMS, self.overrides(self.finetuning_steps), check_data="none"
        )
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--output: cannot make {self.output}: {error.strerror}") from error
        self.times = read_times(self.results.times)
        self.pretrain(loaded.params.trainer.init.model.vocab_size)
        self.finetune(tuned)
        runs = map(str, (self.results.pretraining, self.results.finetuning, self.results.scratch))
        output = ("--output", str(self.results.report), "--overwrite")
        self.step(self.results.report.name, "report", *runs, *output)
        print("\n" + summary(self.results, self.times), flush=True)
        return 0

    def pretrain(self, vocab_size: int) -> None:
        """Documents, tokenizer, shards, and a sparse language model with its held-out loss."""
        results = self.results
        records = [str(self.source)] if self.source else ["--sample"]
        limit = ["--limit", str(self.num_records)]
        self.step("documents", "documents", *records, *limit, "--output", str(results.documents))
        self.step(
            "tokenizer",
            *("tokenizer", str(results.documents), "--vocab-size", str(vocab_size)),
            *("--output", str(results.tokenizer)),
        )
        loaded = load_params(self.params, check_data="none")
        length = loaded.params.trainer.init.model.max_position_embeddings
        self.step(
            "shards",
            *("shards", str(results.documents), "--tokenizer", str(results.tokenizer)),
            *("--max-sequence-length", str(length), "--val-fraction", f"{HELD_OUT_FRACTION:g}"),
            *("--output", str(results.shards)),
        )
        overrides = self.overrides(self.max_steps)
        fingerprint = read_manifest(results.shards).tokenizer.sha256
        for split in ("train", "val"):
            loader = f"trainer.fit.{split}_dataloader"
            overrides.append(f"{loader}.data_dir={results.shards / split}")
            overrides.append(f"{loader}.tokenizer_sha256={fingerprint}")
        self.step(
            results.pretraining.name,
            *(*RUN, "--params", self.params, "--model_dir", str(results.pretraining)),
            *_set_options(overrides),
        )

    def finetune(self, tuned: LoadedParams) -> None:
        """Dense fine-tuning on labels of the same records, from the sparse model and from nothing.

        Both are scored on the same documents, beside TF-IDF with logistic regression.
        """
        results, fit = self.results, tuned.params.trainer.fit
        assert fit is not None
        records = [str(self.source)] if self.source else ["--sample"]
        self.step(
            "labels",
            *("classify", *records, "--mesh", *LABELS, "--question", QUESTION),
            *("--max-train", str(MAX_TRAIN), "--max-val", str(MAX_VAL)),
            *("--test-fraction", f"{HELD_OUT_FRACTION:g}", "--num-virtual-tokens", "0"),
            *("--tokenizer", str(results.tokenizer)),
            *("--max-sequence-length", str(fit.train_dataloader.max_sequence_length)),
            *("--output", str(results.labels)),
        )
        start = newest_checkpoint(results.pretraining)
        self.tune(results.finetuning, results.scores, ["--checkpoint_path", str(start)])
        self.tune(results.scratch, results.scratch_scores, [])
        self.step(
            results.tfidf_scores.name,
            *("evaluate", "--data", str(results.labels), "--method", "tfidf"),
            *("--output", str(results.tfidf_scores)),
        )
        if not results.export.exists():
            checkpoint = newest_checkpoint(results.finetuning)
            self.step(
                results.export.name,
                *("convert", str(checkpoint), str(results.export)),
                *("--tokenizer", str(results.tokenizer)),
            )

    def tune(self, model_dir: Path, scores: Path, start: list[str]) -> None:
        """One fine-tuning run and its score."""
        overrides = self.overrides(self.finetuning_steps)
        for split in ("train", "val"):
            folder = self.results.labels / split
            overrides.append(f"trainer.fit.{split}_dataloader.data_dir={folder}")
        self.step(
            model_dir.name,
            *(*RUN, "--params", FINETUNING_PARAMS, "--model_dir", str(model_dir), *start),
            *_set_options(overrides),
        )
        self.step(
            scores.name,
            *("evaluate", "--data", str(self.results.labels)),
            *("--checkpoint", str(newest_checkpoint(model_dir)), "--output", str(scores)),
        )

    def overrides(self, num_steps: int | None) -> list[str]:
        """What the options of the demo change in a params file."""
        chosen = [] if num_steps is None else [f"trainer.init.loop.max_steps={num_steps}"]
        return chosen if self.seed is None else [*chosen, f"trainer.init.seed={self.seed}"]

    def step(self, name: str, *arguments: str) -> None:
        """Run ``mediswift ARGUMENTS`` in a process of its own and keep its time."""
        if self.num_threads is not None and arguments[0] in COMPUTE_COMMANDS:
            arguments += ("--threads", str(self.num_threads))
        start = time.monotonic()
        run_step("the demo", name, *arguments)
        self.keep_time(name, time.monotonic() - start)

    def keep_time(self, name: str, seconds: float) -> None:
        """Keep the longest time of a step: one that finds its result there takes no time."""
        if self.times.get(name, 0.0) < seconds:
            self.times[name] = seconds
        write_json(self.results.times, self.times)


def _set_options(overrides: list[str]) -> list[str]:
    """Overrides as options of a run."""
    return [part for override in overrides for part in ("--set", override)]
