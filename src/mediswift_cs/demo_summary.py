"""What the demo shows at its end: where each result lies, the scores, a picture, three answers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.model_dir import METRICS_FILE, metric_lines, newest_checkpoint
from mediswift_cs.checkpoints.sparsity_report import count_zeros
from mediswift_cs.errors import DataError
from mediswift_cs.evaluation.names import PREDICTIONS_FILE, SCORES_FILE
from mediswift_cs.storage.read import check_keys, read_json_lines, read_json_object
from mediswift_cs.storage.write import atomic_file
from mediswift_cs.tasks.metrics import Interval, bootstrap_interval
from mediswift_cs.tokens.manifest import read_manifest


class Results:
    """Where the results of the demo lie."""

    def __init__(self, output: Path, level: str) -> None:
        self.level = level
        self.times = output / "times.json"
        self.documents = output / "documents.jsonl.zst"
        self.tokenizer = output / "tokenizer.json"
        self.shards = output / "shards"
        self.pretraining = output / f"pretraining_{level}"
        self.labels = output / "labels"
        self.finetuning = output / f"finetuning_{level}"
        self.scores = output / f"scores_{level}"
        self.scratch = output / "from_scratch"
        self.scratch_scores = output / "scores_from_scratch"
        self.tfidf_scores = output / "scores_tfidf"
        self.picture = output / f"learning_{level}.png"
        self.report = output / "report.html"

    @property
    def export(self) -> Path:
        """The Hugging Face folder of the newest fine-tuned checkpoint."""
        step = newest_checkpoint(self.finetuning).stem.split("_")[1]
        return self.finetuning.with_name(f"huggingface_{self.level}_{step}")

    @property
    def start(self) -> str:
        """What fine-tuning starts from, in words."""
        name = "dense" if self.level == "dense" else f"{self.level} % sparse"
        return f"{name} pre-training"


def read_times(path: Path) -> dict[str, float]:
    """How long each step has taken in the calls before this one.

    Raises:
        DataError: the file is not what the demo writes.
    """
    if not path.exists():
        return {}
    times = read_json_object(path)
    for name, seconds in times.items():
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            raise DataError(f"{path}: {name}: got {seconds!r:.80}, allowed: a number of seconds")
    return times


def lines_with(model_dir: Path, key: str) -> list[dict[str, float]]:
    """The lines of a run's metrics that have ``key``, in the order of the steps."""
    return [line for _, line in metric_lines(model_dir / METRICS_FILE) if key in line]


def right_answers(folder: Path) -> dict[str, bool]:
    """Id of each document of an evaluation -> whether its answer was right."""
    keys, lines = ("id", "predicted", "gold"), read_json_lines(folder / PREDICTIONS_FILE)
    answers = (check_keys(content, keys, where) for where, content in lines)
    return {str(answer["id"]): answer["predicted"] == answer["gold"] for answer in answers}


def advantage(first: Path, second: Path) -> tuple[float, Interval]:
    """How much more often the first of two evaluations of the same documents is right.

    Returns the difference of the accuracies, and its bootstrap 95 % interval over the documents.
    """
    right = [right_answers(folder) for folder in (first, second)]
    assert right[0].keys() == right[1].keys()
    gained = np.array([int(right[0][key]) - int(right[1][key]) for key in right[0]])
    interval = bootstrap_interval(len(gained), lambda drawn: float(gained[list(drawn)].mean()))
    return float(gained.mean()), interval


def summary(results: Results, times: dict[str, float]) -> str:
    """Where each result lies, how long it took, what was learned, and the real sparsity."""
    draw(results)
    manifest = read_manifest(results.shards)
    train, val = manifest.splits["train"], manifest.splits["val"]
    scores = lines_with(results.pretraining, "val_loss")[-1]
    rows = [
        ("documents", results.documents, f"{train.num_documents + val.num_documents:,} documents"),
        ("tokenizer", results.tokenizer, f"{manifest.tokenizer.vocab_size:,} tokens"),
        (
            "shards",
            results.shards,
            f"{train.num_tokens:,} train and {val.num_tokens:,} held-out tokens",
        ),
        ("", newest_checkpoint(results.pretraining), f"{scores['step']:.0f} steps"),
        ("labels", results.labels, "people or animals? as NLM's indexers said"),
        ("", newest_checkpoint(results.finetuning), f"dense, from {results.start}"),
        ("", results.scores, "answers, scores, confusion matrix"),
        ("", newest_checkpoint(results.scratch), "the same model, from random weights"),
        ("", results.scratch_scores, ""),
        ("", results.tfidf_scores, "TF-IDF with logistic regression"),
        ("", results.export, "for transformers"),
        ("", results.report, "all of it on one page, to open in a browser"),
    ]
    lines, total = ["--- summary"], 0.0
    for given, path, what in rows:
        name = given or (path.parent if path.suffix == ".mdl" else path).name
        total += times[name]
        lines.append(f"{name:20} {times[name]:6.0f} s  {what:42} {path}")
    lines.append(f"{'total':20} {total:6.0f} s")
    unigram = val.unigram_loss
    assert unigram is not None
    lines += [
        "",
        f"held-out loss       {scores['val_loss']:.4f} nats per token, perplexity "
        f"{scores['val_perplexity']:.1f}, {scores['val_bits_per_byte']:.3f} bits per byte",
        f"unigram model       {unigram:.4f} nats per token, perplexity {math.exp(unigram):.1f} "
        f"(token frequencies alone, on the same tokens)",
        f"zeros in the file   {_zeros(newest_checkpoint(results.pretraining))}",
        f"picture             {results.picture}",
        f"curves              {_tensorboard(results)}",
        "",
        *answer_lines(results),
        "",
        "three answers, generated by transformers alone:",
        *generated(results),
        "",
        f"report              {results.report}",
    ]
    return "\n".join(lines)


def _zeros(checkpoint: Path) -> str:
    with MdlFile(checkpoint) as file:
        counted = count_zeros(file)
    zeros, number = counted.num_zeros, counted.num_weights
    return f"{zeros:,} of {number:,} weights of the decoder's matrices = {counted.sparsity:.4%}"


def _tensorboard(results: Results) -> str:
    runs = {"pretraining": results.pretraining, "pretrained start": results.finetuning}
    runs["from scratch"] = results.scratch
    spec = ",".join(f"{name.replace(' ', '_')}:{run / 'events'}" for name, run in runs.items())
    return f"tensorboard --logdir_spec {spec}"


def read_scores(folder: Path) -> dict[str, Any]:
    """The report of an evaluation."""
    return read_json_object(folder / SCORES_FILE)


def answer_lines(results: Results) -> list[str]:
    """The accuracies on the held-out documents, and what they show and do not show."""
    tuned, scratch, tfidf = map(
        read_scores, (results.scores, results.scratch_scores, results.tfidf_scores)
    )
    num_labels = read_manifest(results.labels).splits["train"].num_samples
    baseline = tuned["baseline"]
    rows = [
        (f"from {results.start}", tuned),
        ("from random weights", scratch),
        ("TF-IDF + regression", tfidf),
    ]
    lines = [
        f"people or animals?  accuracy on {tuned['num_items']} held-out abstracts, after "
        f"{num_labels} labelled ones (95 % interval)"
    ]
    for name, report in rows:
        low, high = report["interval_95"]
        lines.append(f"  {name:28} {report['scores']['accuracy']:.3f}  ({low:.3f} to {high:.3f})")
    lines.append(f"  {'always ' + repr(baseline['answer']):28} {baseline['score']:.3f}")
    gain, (low, high) = advantage(results.scores, results.scratch_scores)
    if tuned["interval_95"][0] <= baseline["score"]:
        shown = "which shows nothing, as the answers are no better than always the same one"
    elif low > 0:
        shown = "it helps where labels and steps are few"
    elif high < 0:
        shown = "it does harm here"
    else:
        shown = "no difference is shown"
    lines += [
        f"  pre-training adds {gain:+.3f} ({low:+.3f} to {high:+.3f}): {shown}.",
        "  With more steps or labels random weights catch up (docs/benchmarks.md). Not shown:",
        "  whether sparse or dense pre-training is better (each needs its own learning rate), nor",
        "  that a model of 4 million parameters beats a linear classifier of words.",
    ]
    return lines


def draw(results: Results) -> None:
    """One picture: the loss of pre-training, the answers while fine-tuning, the final scores."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), dpi=110)
    FigureCanvasAgg(figure)
    loss, answers, final = figure.subplots(1, 3)
    _draw_loss(loss, results)
    runs = (
        ("from " + results.start, results.finetuning, "tab:blue"),
        ("from random weights", results.scratch, "tab:orange"),
    )
    for name, run, color in runs:
        lines = lines_with(run, "val_answer_accuracy")
        steps, values = ([line[k] for line in lines] for k in ("step", "val_answer_accuracy"))
        answers.plot(steps, values, "o-", label=name, color=color)
    answers.set(title="fine-tuning: people or animals?", xlabel="step", ylim=(0, 1))
    answers.set_ylabel("right answers, validation")
    answers.legend(loc="lower right")
    _draw_scores(final, results)
    figure.tight_layout()
    with atomic_file(results.picture) as temporary:
        figure.savefig(temporary, format="png")


def _draw_loss(axes: Any, results: Results) -> None:
    train = lines_with(results.pretraining, "loss")
    axes.plot([x["step"] for x in train], [x["loss"] for x in train], label="training", lw=0.8)
    held_out = lines_with(results.pretraining, "val_loss")
    steps, values = ([line[key] for line in held_out] for key in ("step", "val_loss"))
    axes.plot(steps, values, "o-", label="held out")
    unigram = read_manifest(results.shards).splits["val"].unigram_loss
    axes.axhline(unigram, color="gray", ls="--", label="token frequencies alone")
    axes.set(title=results.start, xlabel="step", ylabel="nats per token")
    axes.legend()


def _draw_scores(axes: Any, results: Results) -> None:
    tuned = read_scores(results.scores)
    bars = [
        ("from " + results.start, tuned, "tab:blue"),
        ("from random weights", read_scores(results.scratch_scores), "tab:orange"),
        ("TF-IDF + regression", read_scores(results.tfidf_scores), "tab:green"),
    ]
    for place, (name, report, color) in enumerate(reversed(bars)):
        score, (low, high) = report["scores"]["accuracy"], report["interval_95"]
        axes.barh(place, score, 0.4, color=color, xerr=_error_bar(score, low, high), capsize=3)
        axes.text(0.01, place + 0.25, f"{name}: {score:.3f}", va="bottom")
    baseline = tuned["baseline"]
    axes.axvline(baseline["score"], color="gray", ls="--", label=f"always {baseline['answer']!r}")
    axes.set(title=f"accuracy, {tuned['num_items']} held-out abstracts", xlim=(0, 1), yticks=[])
    axes.set_ylim(-0.9, 2.7)
    axes.legend(loc="lower left")


def _error_bar(score: float, low: float, high: float) -> list[list[float]]:
    # A percentile interval need not hold the score itself.
    return [[max(0.0, score - low)], [max(0.0, high - score)]]


def generated(results: Results) -> list[str]:
    """The exported model's continuation of three held-out questions."""
    from transformers import pipeline
    from transformers.utils.logging import set_verbosity_error

    prompts = []
    for line in (results.labels / "test.jsonl").read_text(encoding="utf-8").splitlines()[:3]:
        example = json.loads(line)
        prompts.append(" ".join(example["context"].split()[:45]) + example["tail"])
    # Its pipelines warn of their own default temperature where nothing is sampled.
    set_verbosity_error()  # type: ignore[no-untyped-call]
    generate: Any = pipeline("text-generation", model=str(results.export))
    found = generate(prompts, max_new_tokens=12, do_sample=False)
    texts = [one[0]["generated_text"] for one in found]
    return [
        f"  ...{text[max(0, len(prompt) - 75) :]}"
        for text, prompt in zip(texts, prompts, strict=True)
    ]
