"""The files of an evaluation: predictions, scores, a picture, answers for a leaderboard."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.evaluation.names import PICTURE_FILE, PREDICTIONS_FILE, SCORES_FILE
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.evaluation.report import Report
from mediswift_cs.storage.read import check_type, read_json_object
from mediswift_cs.storage.write import atomic_file, check_folder, write_json, write_text


def prepare_folder(folder: Path, options: Mapping[str, str | None], *, overwrite: bool) -> None:
    """Make the folder of an evaluation and see that its files may be written there.

    Args:
        options: what decides the answers, as :func:`write_report` keeps it.
        overwrite: replace the files of an evaluation with other options too.

    Raises:
        ConfigError: the folder cannot be written, or holds another evaluation.
    """
    check_folder(folder, ConfigError, option="--output")
    scores = folder / SCORES_FILE
    if overwrite or not scores.exists():
        return
    try:
        content = read_json_object(scores)
        # Reports of earlier versions name the task, the split and the method only.
        kept = {**content, **check_type(dict[str, Any], content.get("options", {}), "options")}
    except DataError as error:
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
    trained_on: list[str] | None = None,
) -> list[Path]:
    """Write the files of one evaluation into a prepared folder; returns their paths.

    ``trained_on``: the scored documents that the model was trained on; None: not known.

    The file for a task's leaderboard is written for its official test set, where every answer
    could be read.
    """
    scores = {**report.as_dict(), "options": dict(options), "documents_trained_on": trained_on}
    lines = "".join(json.dumps(p.record(), ensure_ascii=False) + "\n" for p in predictions)
    paths = [
        write_text(folder / PREDICTIONS_FILE, lines),
        write_json(folder / SCORES_FILE, scores),
        draw_counts(report, folder / PICTURE_FILE),
    ]
    said = {p.example.document: p.labels[0] if p.labels else None for p in predictions}
    for name, text in report.task.files_to_hand_in(said).items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            paths.append(write_text(folder / name, text))
    return paths


def draw_counts(report: Report, path: Path) -> Path:
    """Draw the confusion counts as a table of shaded cells."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns, counts, axis = report.confusion
    # Without pyplot, which keeps state and looks for a display.
    figure = Figure(figsize=(2.5 + 1.1 * len(columns), 1.5 + 0.45 * len(rows)), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    largest = max(max(row) for row in counts)
    axes.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=max(1, largest))
    for y, row in enumerate(counts):
        for x, number in enumerate(row):
            shade = "white" if number > largest / 2 else "black"
            axes.text(x, y, str(number), ha="center", va="center", color=shade)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(axis)
    axes.set_ylabel("gold")
    axes.set_title(
        f"{report.task.name} {report.split}: {report.metric} {report.score:.3f}", fontsize=9
    )
    figure.tight_layout()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
    return path
