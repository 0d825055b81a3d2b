"""Evaluations of the shown runs: their scores, confusion matrices and some of the answers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mediswift_cs.errors import DataError
from mediswift_cs.evaluation.names import PREDICTIONS_FILE, SCORES_FILE
from mediswift_cs.report.run_record import RunRecord
from mediswift_cs.storage.read import check_type, read_json_lines, read_json_object

# Answers that are shown, as many right ones as wrong ones, and where to look for them.
NUM_EXAMPLES = 2
_NUM_LOOKED_AT = 5000
_SHOWN_CHARACTERS = 400


class Baseline(BaseModel):
    """The best constant answer."""

    score: float
    answer: str


class Confusion(BaseModel):
    """Answers by what was right (rows) and what was said (columns)."""

    rows: list[str]
    columns: list[str]
    counts: list[list[int]]


class ScoresFile(BaseModel):
    """What is read of a ``scores.json``."""

    task: str
    split: str
    method: str
    metric: str
    scores: dict[str, float]
    num_items: int
    interval_95: tuple[float, float] | None = None
    baseline: Baseline | None = None
    confusion: Confusion | None = None
    options: dict[str, Any] = {}

    def option(self, name: str) -> str | None:
        """An option of the evaluation that is a text."""
        value = self.options.get(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, kw_only=True)
class ShownAnswer:
    """One answer; ``text`` is what the model read, where the data are still there."""

    id: str
    gold: str
    said: str
    is_right: bool
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation; ``run`` is the label of the run that it scored, if it is one of them."""

    folder: Path
    run: str | None
    scores: ScoresFile
    answers: list[ShownAnswer]


def evaluations(
    runs: Sequence[RunRecord], given: Sequence[Path]
) -> tuple[list[Evaluation], list[str]]:
    """The evaluations in the ``given`` folders, and those of the runs that lie beside them.

    What lies beside and cannot be read is said in a list of sentences. Beside is in the folder of
    a run, or in another folder where that one lies. One without a model counts where it scored the
    data of one that is shown.

    Raises:
        DataError: a given folder holds none that can be read.
    """
    shown = [_read(folder, runs) for folder in given]
    known = {one.folder.resolve() for one in shown}
    without_model, problems = [], []
    for folder in _beside(runs):
        try:
            found = None if folder.resolve() in known else _read(folder, runs)
        except DataError as error:
            problems.append(str(error))
            continue
        if found is not None and found.run is not None:
            shown.append(found)
        elif found is not None and found.scores.option("checkpoint") is None:
            without_model.append(found)
    data = {one.scores.option("data") for one in shown} - {None}
    return shown + [x for x in without_model if x.scores.option("data") in data], problems


def _beside(runs: Sequence[RunRecord]) -> Iterable[Path]:
    folders: dict[Path, None] = {}
    for run in runs:
        own = run.model_dir.resolve()
        for pattern in (own, own.parent):
            for path in sorted(pattern.glob(f"*/{SCORES_FILE}")):
                folders[path.parent] = None
    return folders


def _read(folder: Path, runs: Sequence[RunRecord]) -> Evaluation:
    path = folder / SCORES_FILE
    where = f"{path} is no {SCORES_FILE} of `mediswift evaluate`"
    scores = check_type(ScoresFile, read_json_object(path), where)
    checkpoint = scores.option("checkpoint")
    own = Path(checkpoint).resolve().parent if checkpoint else None
    run = next((run.label for run in runs if run.model_dir.resolve() == own), None)
    return Evaluation(folder=folder, run=run, scores=scores, answers=_answers(folder, scores))


def _answers(folder: Path, scores: ScoresFile) -> list[ShownAnswer]:
    """Some right and some wrong ones, the first of each."""
    path, chosen = folder / PREDICTIONS_FILE, []
    wanted = {True: NUM_EXAMPLES, False: NUM_EXAMPLES}
    for record in _records(path):
        gold, said = record.get("gold"), record.get("predicted")
        is_right = gold == said
        if isinstance(gold, list) and wanted[is_right]:
            wanted[is_right] -= 1
            chosen.append((str(record.get("id")), gold, said, is_right, record.get("text")))
    texts = _texts(scores, {id_ for id_, *_ in chosen})
    return [
        ShownAnswer(
            id=id_,
            gold=", ".join(map(str, gold)),
            said=_said(said, generated),
            is_right=is_right,
            text=texts.get(id_),
        )
        for id_, gold, said, is_right, generated in sorted(chosen, key=lambda one: not one[3])
    ]


def _said(labels: Any, generated: Any) -> str:
    said = ", ".join(map(str, labels)) if isinstance(labels, list) else "(could not be read)"
    return f"{said}: {generated}" if isinstance(generated, str) else said


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The first lines of a file that are objects; none where it cannot be read."""
    try:
        for number, (_, record) in enumerate(read_json_lines(path)):
            if number == _NUM_LOOKED_AT:
                return
            if isinstance(record, dict):
                yield record
    except DataError:
        return


def _texts(scores: ScoresFile, ids: set[str]) -> dict[str, str]:
    """What the model read, by the example's id, cut short: its beginning and its end."""
    data, texts = scores.option("data"), {}
    if data is not None:
        for record in _records(Path(data) / f"{scores.split}.jsonl"):
            if (id_ := str(record.get("id"))) in ids:
                text = "".join(str(record.get(part, "")) for part in ("head", "context", "tail"))
                half = _SHOWN_CHARACTERS // 2
                short = f"{text[:half]} … {text[-half:]}"
                texts[id_] = text if len(text) <= _SHOWN_CHARACTERS else short
    return texts
