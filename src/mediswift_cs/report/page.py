"""The page: what is known of the runs, put into the template."""

import platform
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from mediswift_cs.checkpoints.sparsity_report import COLUMNS
from mediswift_cs.packages import versions
from mediswift_cs.pages.figures import mask_picture
from mediswift_cs.pages.page import render, short
from mediswift_cs.report.data_facts import NUM_SOURCES, data_facts
from mediswift_cs.report.run_figures import loss_figures, training_figures
from mediswift_cs.report.run_record import RunRecord, read_runs
from mediswift_cs.report.scores import Evaluation, evaluations
from mediswift_cs.storage.write import write_text

RUN_ROWS = (
    "folder",
    "steps",
    "tokens, padding included",
    "training FLOPs, masked weights left out",
    "training FLOPs as a GPU does them",
    "held-out loss, nats per token",
    "held-out bits per byte",
    "zeros of the linear weights",
    "started from",
    "newest checkpoint",
    "written with",
)
UNKNOWN = "not known"


def write_page(model_dirs: Sequence[Path], scores: Sequence[Path], output: Path) -> Path:
    """Write the page of these runs to one HTML file; returns its path.

    Args:
        scores: folders of `mediswift evaluate`, beside those that are found.

    Raises:
        ConfigError: a folder holds no run.
        DataError: metrics or given scores cannot be read, or the file cannot be written.
    """
    runs = read_runs(model_dirs)
    return write_text(output, page(runs, scores, output))


def page(runs: Sequence[RunRecord], scores: Sequence[Path], output: Path) -> str:
    """The report of the runs as one page of HTML."""
    training, absent = training_figures(runs)
    scored, problems = evaluations(runs, scores)
    return render(
        "mediswift_cs.report",
        "report.html.jinja",
        title="Runs: " + ", ".join(run.label for run in runs),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        runs=runs,
        labels=[run.label for run in runs],
        table=[(name, *cells) for name, *cells in zip(RUN_ROWS, *map(_row, runs), strict=True)],
        loss_figures=loss_figures(runs),
        lacks_bits=not any("val_bits_per_byte" in name for r in runs for name in r.metrics),
        training_figures=training,
        absent=absent,
        columns=COLUMNS,
        masks=[(run.label, _heat(run), _mask(run)) for run in runs],
        data=data_facts(list(runs)),
        num_sources=NUM_SOURCES,
        evaluations=[(one, _scores(one)) for one in scored],
        confusions=[(one, _confusion(one)) for one in scored if one.scores.confusion],
        score_problems=problems,
        environment=[*versions().items(), ("operating system", platform.platform())],
        commands=[(run.label, _run_command(run), _params_text(run)) for run in runs],
        scoring=[(one.folder, _evaluate_command(one)) for one in scored],
        command=_own_command(runs, scores, output),
    )


def _row(run: RunRecord) -> list[Any]:
    """The cells of RUN_ROWS."""
    stored, step = run.stored, run.last_step
    flops = [
        None if step is None else run.flops_until(step, as_dense=dense) for dense in (False, True)
    ]
    planned = run.params and run.params.trainer.init.loop.max_steps
    zeros = stored.zeros if stored else None
    start = run.origin.get("checkpoint_path", UNKNOWN)
    return [
        str(run.model_dir),
        UNKNOWN if step is None else f"{step:,}" + (f" of {planned:,}" if planned else ""),
        UNKNOWN if step is None or not run.tokens_per_step else f"{step * run.tokens_per_step:,}",
        *(UNKNOWN if number is None else short(number) for number in flops),
        _last(run, "val_loss"),
        _last(run, "val_bits_per_byte"),
        f"{zeros.num_zeros:,} of {zeros.num_weights:,} = {zeros.sparsity:.4%}"
        if zeros and zeros.num_weights
        else UNKNOWN,
        "random weights" if start is None else str(start),
        stored.path.name if stored else UNKNOWN,
        ", ".join(f"{k} {v}" for k, v in stored.written_with.items()) if stored else UNKNOWN,
    ]


def _last(run: RunRecord, name: str) -> str:
    found = run.metrics.get(name)
    return f"{found[1][-1]:.4f} at step {found[0][-1]:,}" if found else "not logged"


def _heat(run: RunRecord) -> list[tuple[str, list[tuple[str, float]]]]:
    """Rows of the heat map: the layer, and text and shade of each weight's share of zeros."""
    if run.stored is None:
        return []
    return [
        (str(layer), [(f"{n:.4f}", n) if n == n else ("none", 0.0) for n in fractions])
        for layer, fractions in run.stored.zeros.fractions()
    ]


def _mask(run: RunRecord) -> tuple[Any, str] | None:
    if run.stored is None or run.stored.shown is None:
        return None
    name, kept = run.stored.shown
    rows, columns = kept.shape
    caption = (
        f"The first {rows} rows and {columns} columns of {name}: a coloured pixel is a weight, "
        f"a bare one is zero ({1 - kept.mean():.4f} of these)."
    )
    return mask_picture(kept, f"mask of {name}"), caption


def _scores(one: Evaluation) -> list[Any]:
    scores = one.scores
    other = [f"{k} {v:.4f}" for k, v in scores.scores.items() if k != scores.metric]
    low, high = scores.interval_95 or (float("nan"), float("nan"))
    base = scores.baseline
    return [
        one.run or ("no model" if scores.option("checkpoint") is None else str(one.folder)),
        f"{scores.scores.get(scores.metric, float('nan')):.4f}",
        f"{low:.4f} to {high:.4f}" if scores.interval_95 else "none",
        f"{base.score:.4f} (always {base.answer})" if base else "none",
        scores.metric,
        scores.num_items,
        f"{scores.task}, {scores.split}, {scores.method}",
        ", ".join(other) or "none",
    ]


def _confusion(one: Evaluation) -> list[tuple[str, list[tuple[str, float]]]]:
    assert one.scores.confusion is not None
    table = one.scores.confusion
    largest = max((number for row in table.counts for number in row), default=0) or 1
    return [
        (name, [(f"{number:,}", number / largest) for number in counts])
        for name, counts in zip(table.rows, table.counts, strict=False)
    ]


def _run_command(run: RunRecord) -> str:
    """What repeats the run in a new folder, given its params as params.yaml."""
    start, threads = run.origin.get("checkpoint_path"), run.origin.get("num_threads")
    parts = ["mediswift", "run", "--params", "params.yaml", "--model_dir", "NEW_FOLDER"]
    parts += ["--checkpoint_path", start] if isinstance(start, str) else []
    parts += ["--threads", str(threads)] if isinstance(threads, int) else []
    return shlex.join(parts)


def _params_text(run: RunRecord) -> str:
    if run.stored is None or not run.stored.raw_params:
        return ""
    return yaml.safe_dump(run.stored.raw_params, sort_keys=False, allow_unicode=True)


def _evaluate_command(one: Evaluation) -> str:
    scores = one.scores
    given = {name: scores.option(name) for name in ("data", "checkpoint", "convention", "params")}
    options = {**given, "split": scores.split, "method": scores.method}
    parts = [part for k, v in options.items() if v is not None for part in (f"--{k}", v)]
    return shlex.join(["mediswift", "evaluate", *parts, "--output", "NEW_FOLDER"])


def _own_command(runs: Sequence[RunRecord], scores: Sequence[Path], output: Path) -> str:
    def parts() -> Iterator[str]:
        yield from ("mediswift", "report", *(str(run.model_dir) for run in runs))
        for folder in scores:
            yield from ("--scores", str(folder))
        yield from ("--output", str(output))

    return shlex.join(parts())
