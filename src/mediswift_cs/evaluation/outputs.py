"""The files of an evaluation: predictions, scores, a picture, the leaderboard's answers."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mediswift_cs.errors import ConfigError
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.evaluation.report import Report
from mediswift_cs.storage.write import atomic_file
from mediswift_cs.tasks import pubmedqa

PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
PICTURE_FILE = "confusion_matrix.png"
LEADERBOARD_FILE = "pubmedqa_leaderboard.json"


def prepare_folder(folder: Path, options: Mapping[str, str | None], *, overwrite: bool) -> None:
    """Make the folder of an evaluation and see that its files may be written there.

    Args:
        options: what decides the answers, as :func:`write_report` keeps it.
        overwrite: replace the files of an evaluation with other options too.

    Raises:
        ConfigError: the folder cannot be written, or holds another evaluation.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"--output: got {folder}, allowed: a folder that can be written ({error.strerror})"
        ) from error
    scores = folder / SCORES_FILE
    if overwrite or not scores.exists():
        return
    try:
        content = json.loads(scores.read_text(encoding="utf-8"))
        # Reports of earlier versions name the task, the split and the method only.
        kept = {**content, **content.get("options", {})}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--output: {scores} is no report of an evaluation, allowed: another folder, or "
            f"--overwrite"
        ) from error
    changed = [
        f"{key} {kept[key]}" for key in options if kept.get(key, options[key]) != options[key]
    ]
    if changed:
        raise ConfigError(
            f"--output: {folder} holds an evaluation with other options ({', '.join(changed)}), "
            f"allowed: another folder, or --overwrite"
        )


def write_report(
    report: Report,
    predictions: Sequence[Prediction],
    folder: Path,
    options: Mapping[str, str | None],
) -> list[Path]:
    """Write the files of one evaluation into a prepared folder; returns their paths.

    The leaderboard's file is written for the official test set of PubMedQA, where every answer
    could be read.
    """
    lines = "".join(json.dumps(p.record(), ensure_ascii=False) + "\n" for p in predictions)
    scores = {**report.as_dict(), "options": dict(options)}
    paths = [
        _write_text(lines, folder / PREDICTIONS_FILE),
        _write_text(json.dumps(scores, indent=2) + "\n", folder / SCORES_FILE),
        draw_counts(report, folder / PICTURE_FILE),
    ]
    by_pmid = {p.example.document: p.labels[0] if p.labels else None for p in predictions}
    if report.task == "pubmedqa" and pubmedqa.is_official_test_set(by_pmid):
        if report.num_unparsed == 0:
            answers = pubmedqa.leaderboard_answers(by_pmid)
            text = json.dumps(answers, indent=1) + "\n"
            paths.append(_write_text(text, folder / LEADERBOARD_FILE))
        else:
            (folder / LEADERBOARD_FILE).unlink(missing_ok=True)
    return paths


def _write_text(text: str, path: Path) -> Path:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def draw_counts(report: Report, path: Path) -> Path:
    """Draw the confusion counts as a table of shaded cells."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = report.count_rows, report.count_columns
    # Without pyplot, which keeps state and looks for a display.
    figure = Figure(figsize=(2.5 + 1.1 * len(columns), 1.5 + 0.45 * len(rows)), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    largest = max(max(row) for row in report.counts)
    axes.imshow(report.counts, cmap="Blues", aspect="auto", vmin=0, vmax=max(1, largest))
    for y, row in enumerate(report.counts):
        for x, number in enumerate(row):
            shade = "white" if number > largest / 2 else "black"
            axes.text(x, y, str(number), ha="center", va="center", color=shade)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("predicted" if report.task != "hoc" else "gold labels, by what became of them")
    axes.set_ylabel("gold")
    axes.set_title(f"{report.task} {report.split}: {report.metric} {report.score:.3f}", fontsize=9)
    figure.tight_layout()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
