"""The picture of an evaluation, what is handed in of it, and the folder of both."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mediswift_cs.errors import ConfigError
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.evaluation.report import Report, make_report
from mediswift_cs.evaluation.report_files import draw_counts, prepare_folder, write_report
from mediswift_cs.storage import write
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.classification import MultiLabelClassification
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task

EARLIER = {"task": "pubmedqa", "split": "val", "method": "constrained"}
OPTIONS = {**EARLIER, "params": None}


def answer(number: int, gold: str, said: str | None) -> Prediction:
    example = pubmedqa.question_example(
        str(number), question="Is it?", contexts=["It is."], label=gold
    )
    return Prediction(example=example, labels=None if said is None else (said,))


ANSWERS = [
    *(answer(number, "yes", "yes") for number in range(4)),
    *(answer(number, "yes", "no") for number in range(10, 12)),
    answer(20, "no", None),
]
# Rows are yes, no, maybe; the last column is that of answers that could not be read.
COUNTS = [[4, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def report_of(predictions: list[Prediction], task: Task, convention: str | None) -> Report:
    return make_report(
        predictions, task=task, split="test", method="generate", convention=convention
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Those that are saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def noted(self: Figure, *given: Any, **options: Any) -> None:
        saved.append(self)
        save(self, *given, **options)

    monkeypatch.setattr(Figure, "savefig", noted)
    return saved


def test_the_picture_has_each_count_in_its_cell(tmp_path: Path, figures: list[Figure]) -> None:
    report = report_of(ANSWERS, PubMedQA(), None)
    path = draw_counts(report, tmp_path / "x.png")
    assert path == tmp_path / "x.png"
    (figure,) = figures
    (axes,) = figure.axes
    cells = {text.get_position(): text for text in axes.texts}
    numbers = [[int(cells[x, y].get_text()) for x in range(4)] for y in range(3)]
    assert numbers == COUNTS == report.confusion.counts
    for text in axes.texts:
        assert (text.get_ha(), text.get_va()) == ("center", "center")
    # White on the dark cells of more than half of the largest count.
    white = {place for place, text in cells.items() if to_hex(text.get_color()) == "#ffffff"}
    assert white == {(0, 0)}
    assert {to_hex(t.get_color()) for p, t in cells.items() if p not in white} == {"#000000"}
    (image,) = axes.images
    assert image.get_array().tolist() == COUNTS
    assert image.get_clim() == (0, 4)
    assert image.get_cmap().name == "Blues"
    assert [label.get_text() for label in axes.get_xticklabels()] == list(report.confusion.columns)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["yes", "no", "maybe"]
    assert axes.get_xlabel() == report.confusion.axis
    assert axes.get_ylabel() == "gold"
    assert axes.get_title() == "pubmedqa test: accuracy 0.571"


def test_the_picture_grows_with_its_cells_and_they_fill_it(
    tmp_path: Path, figures: list[Figure]
) -> None:
    labels = ("a", "b", "c", "d", "e")
    empty = [replace(p, example=replace(p.example, labels=()), labels=()) for p in ANSWERS]
    reports = [
        report_of(ANSWERS, PubMedQA(), None),
        report_of(empty, MultiLabelClassification(labels=labels), "all"),
    ]
    for number, report in enumerate(reports):
        png = draw_counts(report, tmp_path / f"{number}.png").read_bytes()
        rows, columns, _, _ = report.confusion
        size = struct.unpack(">II", png[16:24])
        # Inches of a cell and of what is around all, at 120 dots an inch.
        assert size == (int(300 + 132 * len(columns)), int(180 + 54 * len(rows)))
        axes = figures[-1].axes[0]
        assert axes.get_aspect() == "auto"
        assert axes.get_position().width > 0.5
        assert axes.get_title()
    # Also where nothing was counted, there is a scale, whose 0 is white.
    assert figures[-1].axes[0].images[0].get_clim() == (0, 1)


def test_a_file_to_hand_in_goes_away_when_an_answer_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, str | None]] = []

    def handed_in(task: PubMedQA, said: dict[str, str | None]) -> dict[str, str | None]:
        given.append(said)
        return {"board.json": None if None in said.values() else "{}"}

    monkeypatch.setattr(PubMedQA, "files_to_hand_in", handed_in)
    for predictions, is_there in ((ANSWERS[:6], True), (ANSWERS, False), (ANSWERS, False)):
        report = report_of(predictions, PubMedQA(), None)
        paths = write_report(report, predictions, tmp_path, {}, trained_on=None)
        assert (tmp_path / "board.json").exists() == is_there
        assert ((tmp_path / "board.json") in paths) == is_there
        assert all(path.exists() for path in paths)
    assert given[1] == {**dict.fromkeys("0123", "yes"), "10": "no", "11": "no", "20": None}


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_folder_is_made_and_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    folder = tmp_path / "a" / "b"
    prepare_folder(folder, {}, overwrite=overwrite)
    assert list(folder.iterdir()) == []

    def full(temporary: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_begin_file", full)
    with pytest.raises(ConfigError, match=r"cannot write to --output .*: No space left on device"):
        prepare_folder(folder, {}, overwrite=overwrite)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ({**OPTIONS, "options": OPTIONS}, {}, None),
        ({**OPTIONS, "options": OPTIONS}, {"params": "a.yaml"}, r"other options \(params None\)"),
        ({**OPTIONS, "options": OPTIONS}, {"method": "generate"}, r"\(method constrained\)"),
        # Written before the options were kept.
        (EARLIER, {"params": "a.yaml"}, None),
        (EARLIER, {"split": "test"}, r"\(split val\), allowed: another folder, or --overwrite"),
        (["something"], {}, "is no report of an evaluation"),
    ],
)
def test_a_folder_of_another_evaluation_is_refused(
    tmp_path: Path, content: object, changes: dict[str, str], message: str | None
) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(content))
    wanted = {**OPTIONS, **changes}
    prepare_folder(tmp_path, wanted, overwrite=True)
    if message is None:
        prepare_folder(tmp_path, wanted, overwrite=False)
    else:
        with pytest.raises(ConfigError, match=message):
            prepare_folder(tmp_path, wanted, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
