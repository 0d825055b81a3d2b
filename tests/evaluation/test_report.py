"""Reports and their files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.evaluation.report import Report, make_report
from mediswift_cs.evaluation.report_files import prepare_folder, write_report
from mediswift_cs.tasks import hoc, hoc_documents, pubmedqa, pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.classification import MultiLabelClassification
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.official_split import select
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered

EARLIER = {"task": "pubmedqa", "split": "val", "method": "constrained"}
OPTIONS = {**EARLIER, "params": None}


def answers(gold: str, said: str | None, number: int, start: int = 0) -> list[Prediction]:
    return [
        Prediction(
            example=pubmedqa.question_example(
                str(start + i), question="Is it?", contexts=["It is."], label=gold
            ),
            labels=None if said is None else (said,),
        )
        for i in range(number)
    ]


def test_single_label_report() -> None:
    predictions = [
        *answers("yes", "yes", 50),
        *answers("yes", "no", 10, 100),
        *answers("no", "no", 20, 200),
        *answers("maybe", None, 20, 300),
    ]
    report = make_report(
        predictions, task=PubMedQA(), split="test", method="generate", convention=None
    )
    assert report.score == 0.7
    assert (report.baseline, report.baseline_answer) == (0.6, "yes")
    assert report.interval.low < 0.7 < report.interval.high
    assert report.num_unparsed == 20
    assert report.gold_distribution == {"yes": 60, "no": 20, "maybe": 20}
    assert report.predicted_distribution == {"yes": 50, "no": 30, "maybe": 0, "(unparsed)": 20}
    assert report.confusion.counts == [[50, 10, 0, 0], [0, 20, 0, 0], [0, 0, 0, 20]]
    text = report.text()
    for part in ("accuracy 0.7000", "baseline 0.6000  (always 'yes')", "20 of 100", "split test"):
        assert part in text


def test_all_that_a_report_says() -> None:
    predictions = [
        *answers("yes", "yes", 3),
        *answers("yes", "no", 1, 10),
        *answers("no", None, 1, 20),
    ]
    report = make_report(
        predictions, task=PubMedQA(), split="test", method="generate", convention=None
    )
    low, high = report.interval
    assert report.as_dict() == {
        "task": "pubmedqa",
        "split": "test",
        "method": "generate",
        "metric": "accuracy",
        "scores": {"accuracy": 0.6, "macro_f1": pytest.approx(2 / 7)},
        "baseline": {"score": 0.8, "answer": "yes"},
        "interval_95": [low, high],
        "num_items": 5,
        "num_documents": 5,
        "unparsed_rate": 0.2,
        "num_ties": 0,
        "labels_absent_from_gold": ["maybe"],
        "gold_distribution": {"yes": 4, "no": 1, "maybe": 0},
        "predicted_distribution": {"yes": 3, "no": 1, "maybe": 0, "(unparsed)": 1},
        "confusion": {
            "rows": ["yes", "no", "maybe"],
            "columns": ["yes", "no", "maybe", "(unparsed)"],
            "counts": [[3, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
        },
    }
    assert report.text().splitlines() == [
        "pubmedqa, split test, generate, 5 items of 5 documents",
        f"accuracy 0.6000  (bootstrap 95 % interval {low:.4f} to {high:.4f})",
        "baseline 0.8000  (always 'yes')",
        "gold       yes 4, no 1, maybe 0",
        "predicted  yes 3, no 1, maybe 0, (unparsed) 1",
        "unparsed   1 of 5 (20.0%)",
        "macro_f1 0.2857",
        "macro_f1 is the mean over yes, no, maybe; no item is maybe, which counts 0",
    ]


def test_a_single_answer_of_label_sets_has_no_remarks() -> None:
    """One answer is one to everything; and no macro-F1 is told that labels could be absent from."""
    labels = ("a", "b")
    predictions = [
        Prediction(example=replace(p.example, labels=labels[:1]), labels=labels[:1])
        for p in answers("yes", "yes", 1)
    ]
    task = MultiLabelClassification(labels=labels)
    report = make_report(
        predictions, task=task, split="test", method="constrained", convention="all"
    )
    assert report.num_unparsed == 0
    assert report.absent_labels == ["b"]
    assert len(report.text().splitlines()) == 6 + (len(report.scores) > 1)
    twice = make_report(
        predictions * 2, task=task, split="test", method="constrained", convention="all"
    )
    assert "to everything" in twice.text(), "control"
    assert "to everything" not in report.text()


def test_hoc_report_draws_documents(shared_data: Path) -> None:
    documents = hoc_documents.read_documents(shared_data / "hoc")
    pmids = list(documents)[:60]
    examples = select(documents, pmids, HallmarksOfCancer(level="sentence").examples)
    predictions = [
        Prediction(example=e, labels=e.labels if i % 2 else ()) for i, e in enumerate(examples)
    ]
    task = HallmarksOfCancer(level="sentence")
    items = [
        Answered(p.example.document, frozenset(p.example.labels), frozenset(p.labels or ()))
        for p in predictions
    ]
    for convention in hoc.CONVENTIONS:
        report = make_report(
            predictions,
            task=HallmarksOfCancer(level="sentence"),
            split="test",
            method="constrained",
            convention=convention,
            num_resamples=50,
        )
        assert report.score == pytest.approx(
            Scoring.of(task, items, convention).scores()[report.metric]
        )
        assert convention in report.metric
        assert report.interval.low <= report.score <= report.interval.high
    empty = [item._replace(said=frozenset()) for item in items]
    always_empty = Scoring.of(task, empty, "biogpt").scores()["micro_f1 (biogpt)"]
    assert (report.baseline, report.baseline_answer) == (always_empty, "empty")
    with pytest.raises(ConfigError, match="got 'best'"):
        make_report(
            predictions,
            task=HallmarksOfCancer(),
            split="t",
            method="constrained",
            convention="best",
        )


@pytest.mark.parametrize("convention", hoc.CONVENTIONS)
def test_unreadable_hoc_answers_are_wrong(shared_data: Path, convention: str) -> None:
    documents = hoc_documents.read_documents(shared_data / "hoc")
    pmids = hoc.read_split(shared_data / "hoc", "biogpt")["test"]
    examples = select(documents, pmids, HallmarksOfCancer(level="sentence").examples)
    right = [Prediction(example=e, labels=e.labels) for e in examples]

    def report(predictions: list[Prediction]) -> Report:
        return make_report(
            predictions,
            task=HallmarksOfCancer(level="sentence"),
            split="test",
            method="generate",
            convention=convention,
            num_resamples=2,
        )

    junk = report([replace(p, labels=None) for p in right])
    assert junk.score == 0.0
    assert junk.num_unparsed == len(examples)
    assert junk.predicted_distribution["(unparsed)"] == len(examples)
    assert junk.predicted_distribution["(none)"] == 0
    assert all(found == 0 == alarms for found, _, alarms in junk.confusion.counts)
    assert sum(missed for _, missed, _ in junk.confusion.counts) == sum(
        len(e.labels) for e in examples
    )
    # One answer less is one mistake more, whatever the gold answer of a counted item is.
    assert report(right).score == 1.0
    assert "(unparsed)" not in report(right).predicted_distribution
    assert report(right).num_unparsed == 0
    labelled = {e.document for e in examples if e.labels}
    for has_labels in (True, False):
        index = next(
            i
            for i, e in enumerate(examples)
            if bool(e.labels) == has_labels and e.document in labelled
        )
        one = [*right[:index], replace(right[index], labels=None), *right[index + 1 :]]
        assert report(one).score < 1.0
        assert report(one).num_unparsed == 1


def test_files(tmp_path: Path) -> None:
    predictions = [*answers("yes", "yes", 3), *answers("no", "yes", 2, 10)]
    report = make_report(
        predictions, task=PubMedQA(), split="val", method="constrained", convention=None
    )
    prepare_folder(tmp_path / "out", OPTIONS, overwrite=False)
    paths = write_report(report, predictions, tmp_path / "out", OPTIONS)
    assert {path.name for path in paths} == {
        "predictions.jsonl",
        "scores.json",
        "confusion_matrix.png",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(lines[3]) == {
        "id": "10",
        "pmid": "10",
        "gold": ["no"],
        "predicted": ["yes"],
    }
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["scores"]["accuracy"] == 0.6
    assert scores["baseline"] == {"score": 0.6, "answer": "yes"}
    assert scores["options"] == OPTIONS
    assert (tmp_path / "out" / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_leaderboard_file_is_for_the_official_test_set_only(
    tmp_path: Path, shared_data: Path
) -> None:
    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    test = pubmedqa_split.read_split(None, 0, records).test
    predictions = [
        Prediction(example=example, labels=("yes",))
        for example in select(records, test, PubMedQA().examples)
    ]
    report = make_report(
        predictions, task=PubMedQA(), split="test", method="constrained", convention=None
    )
    assert round(report.score, 4) == 0.552
    assert round(report.scores["macro_f1"], 4) == 0.2371
    names = {path.name for path in write_report(report, predictions, tmp_path, OPTIONS)}
    assert "pubmedqa_leaderboard.json" in names
    truth = json.loads((shared_data / "pubmedqa" / "test_ground_truth.json").read_text())
    written = json.loads((tmp_path / "pubmedqa_leaderboard.json").read_text())
    assert set(written) == set(truth)
    # One unreadable answer, and there is nothing to hand in.
    predictions[0] = replace(predictions[0], labels=None)
    report = make_report(
        predictions, task=PubMedQA(), split="test", method="generate", convention=None
    )
    assert "pubmedqa_leaderboard.json" not in {
        path.name for path in write_report(report, predictions, tmp_path, OPTIONS)
    }
    assert not (tmp_path / "pubmedqa_leaderboard.json").exists()


def test_what_makes_a_score_say_less_is_told() -> None:
    everything_yes = [*answers("yes", "yes", 6), *answers("no", "yes", 4, 100)]
    tied = replace(everything_yes[0], scores={"yes": -1.0, "no": -1.0, "maybe": -2.0})
    clear = replace(everything_yes[1], scores={"yes": -1.0, "no": -1.5, "maybe": -1.5})
    report = make_report(
        [tied, clear, *everything_yes[2:]],
        task=PubMedQA(),
        split="test",
        method="constrained",
        convention=None,
    )
    assert report.num_ties == 1
    text = report.text()
    assert "warning: 1 answers are ties" in text
    assert "warning: the answer is 'yes' to everything" in text
    assert "macro_f1 is the mean over yes, no, maybe; no item is maybe, which counts 0" in text
    assert report.as_dict()["labels_absent_from_gold"] == ["maybe"]
    # Control: nothing of it where nothing is wrong.
    sound = [
        *answers("yes", "yes", 6),
        *answers("no", "maybe", 4, 9),
        *answers("maybe", "no", 2, 50),
    ]
    told = make_report(
        sound, task=PubMedQA(), split="test", method="constrained", convention=None
    ).text()
    assert "warning" not in told
    assert "macro_f1 is" not in told
